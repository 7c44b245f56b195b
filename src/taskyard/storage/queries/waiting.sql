-- What the API asks for those who wait for the end of a task.

-- name: watch
-- Have the end of a task notified. No row: it was watched already, has ended, or never was.
UPDATE tasks SET watched = true
WHERE id = %(id)s AND tenant = %(tenant)s AND NOT watched AND finished_at IS NULL
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  -- A mark that a crash undoes was waited with by nobody: their connections are gone as well.
  AND set_config('synchronous_commit', 'off', true) > '';

-- name: find_ended
-- Those of some tasks that have ended, whole.
SELECT id, tenant, type, pool, priority, state, reason, args, result, error, attempt,
       max_attempts, generation, error_count, crash_count, progress, labels, worker, created_at,
       due_at, expires_at, deadline_at, cancel_requested_at, queued_at, started_at, finished_at,
       notify_url, finish_by, substr(traceparent, 4, 32) AS trace_id
FROM tasks WHERE id = ANY (%(ids)s) AND finished_at IS NOT NULL;
