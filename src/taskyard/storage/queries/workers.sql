-- Workers as they say of themselves that they live.

-- name: say_alive
-- A worker lives; it hears whether it should leave.
INSERT INTO workers (name, pool, slots)
SELECT %(name)s::text, %(pool)s::text, %(slots)s::integer
WHERE set_config('synchronous_commit', 'off', true) > ''
ON CONFLICT (name) DO UPDATE SET seen_at = now()
RETURNING drain_requested_at IS NOT NULL;

-- name: say_farewell
-- A worker has left.
DELETE FROM workers WHERE name = %(name)s;

-- name: request_drain
-- Ask a worker to leave, and tell it at once; its next heartbeat would, too. No row: it is not there.
UPDATE workers SET drain_requested_at = coalesce(drain_requested_at, now())
WHERE name = %(name)s AND seen_at > now() - %(gone_after)s * interval '1 second'
RETURNING name, pool, pg_notify('taskyard_stop', name);

-- name: list_workers
-- The workers of a pool (null: of all) that were seen lately, and what each runs.
SELECT name, pool, slots, started_at, seen_at, drain_requested_at,
       (SELECT count(*) FROM tasks
        WHERE state = 'running' AND tasks.pool = workers.pool AND tasks.worker = workers.name)
           AS running
FROM workers
WHERE (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND seen_at > now() - %(gone_after)s * interval '1 second'
ORDER BY pool, started_at, name;

-- name: list_running
-- What runs of a pool, of one owner, the longest first.
SELECT id, tenant, type, pool, worker, attempt,
       extract(epoch FROM now() - started_at)::double precision AS seconds,
       (progress ->> 'fraction')::double precision AS fraction
FROM tasks
WHERE state = 'running' AND pool = %(pool)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
ORDER BY started_at, id LIMIT %(limit)s;

-- name: forget_workers
-- Remove who has not been seen for an hour: it went without a word.
DELETE FROM workers WHERE seen_at < now() - interval '1 hour';
