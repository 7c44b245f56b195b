-- name: announce
-- A worker says which task types it can run, and with what arguments.
INSERT INTO task_types (type, pool, description, schema)
SELECT type, %(pool)s, description, schema::jsonb
FROM unnest(%(types)s::text[], %(descriptions)s::text[], %(schemas)s::text[])
    AS announced (type, description, schema)
ON CONFLICT (type) DO UPDATE SET
    pool = excluded.pool, description = excluded.description, schema = excluded.schema,
    announced_at = now();

-- name: list_task_types
-- All that was announced.
SELECT type, pool, description, schema, announced_at FROM task_types ORDER BY type;

-- name: ring
-- Tell the APIs that there is something new.
SELECT pg_notify('taskyard_task_types', '');
