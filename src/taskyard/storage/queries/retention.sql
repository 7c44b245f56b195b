-- The statements that remove ended tasks once their retention is over.

-- name: look
-- The next tasks in the order of their making, and for how many seconds each has ended.
SELECT id, type, extract(epoch FROM now() - finished_at)::double precision AS ended_for
FROM tasks
WHERE id > %(after)s AND id < %(before)s
ORDER BY id LIMIT %(limit)s;

-- name: remove
-- Remove tasks and their history, unless they were replayed meanwhile or others hold them. A
-- removal that a crash undoes is done again: no need to wait for the disk.
WITH due AS (
    SELECT tasks.id
    FROM unnest(%(ids)s::uuid[], %(retentions)s::double precision[]) AS given (id, retention)
    JOIN tasks USING (id)
    WHERE tasks.finished_at <= now() - given.retention * interval '1 second'
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    FOR UPDATE OF tasks SKIP LOCKED
), removed AS (
    DELETE FROM tasks USING due WHERE tasks.id = due.id RETURNING tasks.id
), history AS (
    DELETE FROM task_events USING removed WHERE task_events.task_id = removed.id
)
SELECT count(*) FROM removed;
