-- Following the history of all tasks.

-- name: changes_after
-- The changes behind a position, in order, each with its age in seconds on the database's clock.
SELECT position, task_id, task_events.tenant, seq, at, extract(epoch FROM now() - at)::double precision AS age,
       type, pool, labels, task_events.state, task_events.generation, task_events.attempt,
       task_events.worker, task_events.reason, task_events.error, traceparent, tracestate
FROM task_events JOIN tasks ON tasks.id = task_id
WHERE position > %(after)s
ORDER BY position
LIMIT %(limit)s;

-- name: writers
-- The transactions that have written history, or may be about to, and have not ended. Whoever writes
-- a table takes this lock before the first row has a position, and keeps it to its end. (Snapshots
-- will not do: they wait for every transaction of every database on the server.)
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'
  AND relation = 'task_events'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: newest_position
-- The position of the newest change that is committed.
SELECT coalesce(max(position), 0) FROM task_events;
