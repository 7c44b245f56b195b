-- What a person looks for among a million tasks: a label, or words of an error.

-- The words of an error, one by one: what is no letter or digit parts them, so that a part of a host
-- or a path is found as well. Of one that is sealed, only the code can be read here.
CREATE FUNCTION error_words(error jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.simple', regexp_replace(
        coalesce(error ->> 'code', '') || ' ' || left(coalesce(error ->> 'message', ''), 2000),
        '[^[:alnum:]]+', ' ', 'g'))
$$;

-- Tasks without an error, or without labels, cost these nothing.
CREATE INDEX tasks_by_error ON tasks USING gin (error_words(error)) WHERE error IS NOT NULL;
CREATE INDEX tasks_by_label ON tasks USING gin (labels jsonb_path_ops) WHERE labels <> '{}';
CREATE INDEX tasks_with_error ON tasks (tenant, id) WHERE error IS NOT NULL;
