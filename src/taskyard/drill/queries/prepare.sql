-- What a drill adds to the database that it tests: a witness of every write, and a table for
-- effects that take part in the finishing transaction.

CREATE TABLE drill_writes (
    number     bigserial PRIMARY KEY,
    task_id    uuid NOT NULL,
    state      text NOT NULL,
    attempt    integer NOT NULL,
    generation integer NOT NULL,
    token      uuid,
    outcome    text
);

CREATE FUNCTION drill_witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO drill_writes (task_id, state, attempt, generation, token, outcome)
    VALUES (NEW.id, NEW.state, NEW.attempt, NEW.generation, NEW.lease_token,
            md5(concat(NEW.result::text, '|', NEW.error::text)));
    RETURN NULL;
END $$;

CREATE TRIGGER drill_witness AFTER UPDATE ON tasks
    FOR EACH ROW
    WHEN ((OLD.state, OLD.attempt, OLD.lease_token, OLD.result, OLD.error)
          IS DISTINCT FROM (NEW.state, NEW.attempt, NEW.lease_token, NEW.result, NEW.error))
    EXECUTE FUNCTION drill_witness();

-- No key and no constraint: an effect that came twice must be seen twice.
CREATE TABLE drill_effects (
    task_id    uuid NOT NULL,
    effect_key text NOT NULL,
    attempt    integer NOT NULL
);
