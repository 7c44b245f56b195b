-- What a worker does with a task. Every write after the claim shows the lease token.

-- name: claim
-- Take the lease, unless the task is ended, leased, expired or not due. No row: nothing to run.
UPDATE tasks SET
    state = 'running', attempt = attempt + 1, lease_token = %(token)s, worker = %(worker)s,
    lease_expires_at = now() + interval '15 seconds',
    started_at = now(), reason = NULL, progress = NULL
WHERE id = %(id)s AND type = %(type)s AND state IN ('pending', 'queued')
  AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
  -- A claim that a crash undoes is a claim that never was: no need to wait for the disk.
  AND set_config('synchronous_commit', 'off', true) IS NOT NULL
RETURNING args, attempt, max_attempts, priority;

-- name: finish
-- Store the result, if the lease is still ours.
UPDATE tasks SET
    state = 'succeeded', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    result = %(result)s::jsonb, error = NULL
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: fail
-- Store why the task failed for good, if the lease is still ours.
UPDATE tasks SET
    state = 'failed', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    error = %(error)s::jsonb, reason = %(reason)s
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: retry
-- Give the task back to run again after a wait, if the lease is still ours.
UPDATE tasks SET
    state = 'retrying', lease_token = NULL, lease_expires_at = NULL,
    error = %(error)s::jsonb, reason = %(reason)s,
    due_at = now() + %(delay)s * interval '1 second'
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: find_lost
-- The lease of an attempt whose process died, for the parent that saw it die.
SELECT lease_token AS token, attempt, max_attempts FROM tasks
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running';

-- name: give_back
-- A wake-up reached a worker that does not know the task type: schedule it anew. It may not have
-- been marked as queued yet.
UPDATE tasks SET state = 'scheduled', reason = %(reason)s, due_at = now() + interval '10 seconds'
WHERE id = %(id)s AND type = %(type)s AND state IN ('pending', 'queued')
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: report_progress
-- Store how far an attempt is, if the lease is still ours.
UPDATE tasks SET progress = %(progress)s::jsonb
WHERE id = %(id)s AND lease_token = %(token)s
  AND set_config('synchronous_commit', 'off', true) IS NOT NULL
RETURNING id;

-- name: read_outcome
-- What a Celery result backend shows of a task.
SELECT state, type, result, error, finished_at, attempt FROM tasks WHERE id = %(id)s;
