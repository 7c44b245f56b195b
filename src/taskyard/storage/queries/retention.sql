-- The statements that remove ended tasks once their retention is over.

-- name: look
-- The next tasks in the order of their making, and for how many seconds each has ended.
SELECT id, type, extract(epoch FROM now() - finished_at)::double precision AS ended_for
FROM tasks
WHERE id > %(after)s AND id < %(before)s
ORDER BY id LIMIT %(limit)s;

-- name: remove
-- Remove tasks and their history, unless they were replayed meanwhile or others hold them. What the
-- statistics have not counted yet waits for that, but for a day at most. A removal that a crash undoes
-- is done again: no need to wait for the disk.
WITH due AS (
    SELECT tasks.id,
           tasks.finished_at <= now() - (given.retention + 86400) * interval '1 second' AS overdue
    FROM unnest(%(ids)s::uuid[], %(retentions)s::double precision[]) AS given (id, retention)
    JOIN tasks USING (id)
    WHERE tasks.finished_at <= now() - given.retention * interval '1 second'
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    FOR UPDATE OF tasks SKIP LOCKED
), removed AS (
    DELETE FROM tasks USING due
    WHERE tasks.id = due.id
      AND (due.overdue
           OR coalesce((SELECT max(position) FROM task_events WHERE task_id = due.id), 0)
              <= (SELECT position FROM statistics_cursors WHERE purpose = 'history'))
    RETURNING tasks.id
), history AS (
    DELETE FROM task_events USING removed WHERE task_events.task_id = removed.id
)
SELECT count(*) FROM removed;
