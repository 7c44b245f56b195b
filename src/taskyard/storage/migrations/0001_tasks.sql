-- Tasks, their history, the task types that workers announced, and what was applied to the broker.

CREATE TABLE tasks (
    id               uuid PRIMARY KEY,                 -- UUIDv7, made by the API before the INSERT
    type             text NOT NULL,
    pool             text NOT NULL,
    priority         smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
    state            text NOT NULL,
    reason           text,                             -- why it is in this state, where that says more
    attempt          integer NOT NULL DEFAULT 0,
    max_attempts     integer NOT NULL CHECK (max_attempts > 0),
    event_seq        integer NOT NULL DEFAULT 1,       -- the number of the newest event
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL,
    expires_at       timestamptz,
    publish_at       timestamptz NOT NULL,             -- when the dispatcher may publish it (again)
    publish_failures smallint NOT NULL DEFAULT 0,
    queued_at        timestamptz,
    started_at       timestamptz,
    finished_at      timestamptz,
    lease_token      uuid,
    worker           text,
    labels           jsonb NOT NULL DEFAULT '{}',
    args             jsonb NOT NULL,
    progress         jsonb,
    result           jsonb,
    error            jsonb,
    CONSTRAINT state_is_known CHECK (state IN (
        'scheduled', 'pending', 'queued', 'running', 'retrying',
        'succeeded', 'failed', 'cancelled', 'expired', 'quarantined')),
    CONSTRAINT ended_means_finished CHECK (
        (finished_at IS NOT NULL)
        = (state IN ('succeeded', 'failed', 'cancelled', 'expired', 'quarantined'))),
    CONSTRAINT running_means_leased CHECK ((lease_token IS NOT NULL) = (state = 'running'))
) WITH (fillfactor = 80);

-- Each index covers only the states its reader looks for, so ended tasks cost them nothing.
CREATE INDEX tasks_to_publish ON tasks (priority DESC, publish_at) WHERE state = 'pending';
CREATE INDEX tasks_to_promote ON tasks (due_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX tasks_to_expire ON tasks (expires_at)
    WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'pending', 'queued', 'retrying');
CREATE INDEX tasks_running ON tasks (pool) WHERE state = 'running';
CREATE INDEX tasks_ended_badly ON tasks (state, id)
    WHERE state IN ('failed', 'cancelled', 'expired', 'quarantined');

CREATE TABLE task_events (
    task_id uuid NOT NULL,
    seq     integer NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    state   text NOT NULL,
    attempt integer NOT NULL,
    worker  text,
    reason  text,
    PRIMARY KEY (task_id, seq)
);

-- History is written by the database itself, in the transaction of the change it tells of: no
-- statement can forget it, and no number can be missing.
CREATE FUNCTION record_submissions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task_events (task_id, seq, state, attempt, reason)
    SELECT id, event_seq, state, attempt, reason FROM submitted;
    RETURN NULL;
END $$;

CREATE TRIGGER tasks_submitted AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS submitted
    FOR EACH STATEMENT EXECUTE FUNCTION record_submissions();

-- The table of core/states.py, once more: a test walks every pair through both. It is checked in
-- the function and not in the trigger's WHEN, which Postgres parses anew for every statement
-- (measured: a third of the time of claim and finish).
CREATE FUNCTION record_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (CASE OLD.state
        WHEN 'queued' THEN NEW.state IN ('running', 'scheduled', 'cancelled', 'expired')
        WHEN 'running' THEN
            NEW.state IN ('succeeded', 'failed', 'retrying', 'quarantined', 'cancelled')
        WHEN 'pending' THEN
            NEW.state IN ('queued', 'running', 'scheduled', 'cancelled', 'expired')
        WHEN 'succeeded' THEN false
        WHEN 'scheduled' THEN NEW.state IN ('pending', 'cancelled', 'expired')
        WHEN 'retrying' THEN NEW.state IN ('pending', 'cancelled', 'expired')
        ELSE NEW.state = 'pending'  -- a replay
    END) THEN
        RAISE EXCEPTION 'task % may not go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transition_is_legal';
    END IF;
    NEW.event_seq := OLD.event_seq + 1;
    INSERT INTO task_events (task_id, seq, state, attempt, worker, reason)
    VALUES (NEW.id, NEW.event_seq, NEW.state, NEW.attempt, NEW.worker, NEW.reason);
    RETURN NEW;
END $$;

CREATE TRIGGER tasks_moved BEFORE UPDATE OF state ON tasks
    FOR EACH ROW WHEN (OLD.state <> NEW.state)
    EXECUTE FUNCTION record_transition();

-- What each pool's workers say they can run, with the JSON Schema of the arguments.
CREATE TABLE task_types (
    type         text PRIMARY KEY,
    pool         text NOT NULL,
    description  text NOT NULL DEFAULT '',
    schema       jsonb NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now()
);

-- AMQP cannot list bindings, so what `taskyard topology apply` did is kept here.
CREATE TABLE topology_ledger (
    broker     text NOT NULL,                          -- <vhost>:<prefix>
    kind       text NOT NULL CHECK (kind IN ('exchange', 'queue', 'binding')),
    name       text NOT NULL,
    source     text NOT NULL DEFAULT '',
    pattern    text NOT NULL DEFAULT '',
    arguments  jsonb NOT NULL DEFAULT '{}',
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (broker, kind, name, source, pattern)
);
