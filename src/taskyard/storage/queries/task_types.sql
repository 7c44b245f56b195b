-- name: announce
-- A worker says which task types it can run, and with what arguments.
INSERT INTO task_types (type, pool, description, schema)
SELECT type, %(pool)s, description, schema::jsonb
FROM unnest(%(types)s::text[], %(descriptions)s::text[], %(schemas)s::text[])
    AS announced (type, description, schema)
ON CONFLICT (type) DO UPDATE SET
    pool = excluded.pool, description = excluded.description, schema = excluded.schema,
    announced_at = now();

-- name: forget_left_out
-- Forget the types of a pool that its workers announced last a week ago, now that one has announced
-- all it knows without them: that is longer than a deploy has workers of two versions.
DELETE FROM task_types
WHERE pool = %(pool)s AND type <> ALL (%(types)s::text[]) AND announced_at < now() - interval '7 days';

-- name: forget_of_no_pool
-- Forget the types that were announced a week ago or longer for pools that are no more.
WITH gone AS (
    DELETE FROM task_types
    WHERE pool <> ALL (%(pools)s::text[]) AND announced_at < now() - interval '7 days'
    RETURNING type
)
SELECT type, pg_notify('taskyard_task_types', '') FROM gone;

-- name: list_task_types
-- All that was announced.
SELECT type, pool, description, schema, announced_at FROM task_types ORDER BY type;

-- name: ring
-- Tell the APIs that there is something new.
SELECT pg_notify('taskyard_task_types', '');
