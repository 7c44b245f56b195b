-- Following the history of all tasks.

-- name: changes_after
-- The changes behind a position, in order, each with its age in seconds on the database's clock.
SELECT position, task_id, task_events.tenant, seq, at, extract(epoch FROM now() - at)::double precision AS age,
       type, pool, labels, task_events.state, task_events.generation, task_events.attempt,
       task_events.worker, task_events.reason, task_events.error
FROM task_events JOIN tasks ON tasks.id = task_id
WHERE position > %(after)s
ORDER BY position
LIMIT %(limit)s;

-- name: horizon
-- All transactions below the first number have ended; none at or above the second had begun.
SELECT pg_snapshot_xmin(now_running)::text::bigint, pg_snapshot_xmax(now_running)::text::bigint
FROM pg_current_snapshot() AS now_running;

-- name: newest_position
-- The position of the newest change that is committed.
SELECT coalesce(max(position), 0) FROM task_events;
