-- What a worker does with a task. Every write after the claim shows the lease token.

-- name: claim
-- Take the lease, unless the task is ended, leased, expired, not due, or its pool is paused. No row:
-- nothing to run.
UPDATE tasks SET
    state = 'running', attempt = attempt + 1, lease_token = %(token)s, worker = %(worker)s,
    lease_expires_at = now() + interval '15 seconds',
    started_at = now(), reason = NULL, progress = NULL
WHERE id = %(id)s AND type = %(type)s AND state IN ('pending', 'queued')
  AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
  AND NOT EXISTS (SELECT FROM pool_pauses WHERE pool_pauses.pool = tasks.pool)
  -- A claim that a crash undoes is a claim that never was: no need to wait for the disk, unless
  -- there may be no second one.
  AND set_config('synchronous_commit', CASE WHEN at_most_once THEN 'on' ELSE 'off' END, true) > ''
RETURNING tenant, args, attempt, max_attempts, error_count, priority,
          extract(epoch FROM deadline_at - now())::double precision,
          extract(epoch FROM now() - greatest(due_at, queued_at))::double precision,
          traceparent, tracestate;

-- name: claim_many
-- Do as claim does for many tasks at once, each under a token of its own: what cannot be claimed is
-- not among the rows. Of two claims of the same task one is answered.
WITH waited_for AS (
    -- Whether the commit must reach the disk is asked once: for each row, the last would decide.
    SELECT set_config('synchronous_commit', CASE WHEN bool_or(at_most_once) THEN 'on' ELSE 'off' END,
                      true)
    FROM tasks WHERE id = ANY (%(wanted)s::uuid[])
)
UPDATE tasks SET
    state = 'running', attempt = attempt + 1, lease_token = wanted.token, worker = %(worker)s,
    lease_expires_at = now() + interval '15 seconds',
    started_at = now(), reason = NULL, progress = NULL
FROM unnest(%(wanted)s::uuid[], %(tokens)s::uuid[]) WITH ORDINALITY AS wanted (id, token, number)
WHERE tasks.id = wanted.id AND type = %(types)s::jsonb ->> (wanted.number - 1)::integer
  AND state IN ('pending', 'queued')
  AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
  AND NOT EXISTS (SELECT FROM pool_pauses WHERE pool_pauses.pool = tasks.pool)
  AND (SELECT * FROM waited_for) > ''
RETURNING tasks.id, lease_token, tenant, args, attempt, max_attempts, error_count, priority,
          extract(epoch FROM deadline_at - now())::double precision,
          extract(epoch FROM now() - greatest(due_at, queued_at))::double precision,
          traceparent, tracestate;

-- name: find_claimed
-- What an earlier claim with this token took, whose answer was lost with the connection.
SELECT tenant, args, attempt, max_attempts, error_count, priority,
       extract(epoch FROM deadline_at - now())::double precision,
       extract(epoch FROM started_at - greatest(due_at, queued_at))::double precision,
       traceparent, tracestate
FROM tasks WHERE id = %(id)s AND lease_token = %(token)s;

-- name: finish
-- Store the result, if the lease is still ours.
UPDATE tasks SET
    state = 'succeeded', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    result = %(result)s::jsonb, error = NULL
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: finish_many
-- Store many results in one commit, each if its own lease is still held.
UPDATE tasks SET
    state = 'succeeded', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    result = %(results)s::jsonb -> (ended.number - 1)::integer, error = NULL
FROM unnest(%(ended)s::uuid[], %(shown)s::uuid[]) WITH ORDINALITY AS ended (id, token, number)
WHERE tasks.id = ended.id AND tasks.lease_token = ended.token
RETURNING tasks.id, ended.token;

-- name: finish_and_claim
-- Do as finish_many and claim_many do, in one statement. The commit waits for the disk.
WITH finished AS (
    UPDATE tasks SET
        state = 'succeeded', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
        result = %(results)s::jsonb -> (ended.number - 1)::integer, error = NULL
    FROM unnest(%(ended)s::uuid[], %(shown)s::uuid[]) WITH ORDINALITY AS ended (id, token, number)
    WHERE tasks.id = ended.id AND tasks.lease_token = ended.token
    RETURNING tasks.id, ended.token
), claimed AS (
    UPDATE tasks SET
        state = 'running', attempt = attempt + 1, lease_token = wanted.token, worker = %(worker)s,
        lease_expires_at = now() + interval '15 seconds',
        started_at = now(), reason = NULL, progress = NULL
    FROM unnest(%(wanted)s::uuid[], %(tokens)s::uuid[])
        WITH ORDINALITY AS wanted (id, token, number)
    WHERE tasks.id = wanted.id AND type = %(types)s::jsonb ->> (wanted.number - 1)::integer
      AND state IN ('pending', 'queued')
      AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
      AND NOT EXISTS (SELECT FROM pool_pauses WHERE pool_pauses.pool = tasks.pool)
    RETURNING tasks.id, lease_token, tenant, args, attempt, max_attempts, error_count, priority,
              extract(epoch FROM deadline_at - now())::double precision,
              extract(epoch FROM now() - greatest(due_at, queued_at))::double precision,
              traceparent, tracestate
)
SELECT id, token, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM finished
UNION ALL SELECT * FROM claimed;

-- name: fail
-- Store why the task failed for good, if the lease is still ours.
UPDATE tasks SET
    state = 'failed', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    error_count = error_count + 1, error = %(error)s::jsonb, reason = %(reason)s
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: retry
-- Give the task back to run again after a wait, if the lease is still ours. Nobody waits for
-- another attempt of a task that was cancelled meanwhile.
UPDATE tasks SET
    state = CASE WHEN cancel_requested_at IS NULL THEN 'retrying' ELSE 'cancelled' END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
    lease_token = NULL, lease_expires_at = NULL,
    error_count = error_count + 1, error = %(error)s::jsonb,
    reason = CASE WHEN cancel_requested_at IS NULL THEN %(reason)s
                  ELSE 'cancelled by the caller' END,
    due_at = now() + %(delay)s * interval '1 second'
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: put_off
-- Give back what cannot be run here and now, through no fault of the task: no attempt is used up.
UPDATE tasks SET
    state = CASE WHEN cancel_requested_at IS NULL THEN 'retrying' ELSE 'cancelled' END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
    lease_token = NULL, lease_expires_at = NULL,
    error = %(error)s::jsonb,
    reason = CASE WHEN cancel_requested_at IS NULL THEN %(reason)s
                  ELSE 'cancelled by the caller' END,
    due_at = now() + %(delay)s * interval '1 second'
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: take_back
-- End attempts that will not end by themselves, and decide what becomes of their tasks: the process
-- died (a crash), or is about to be killed. Only the worker that runs them may say so, or anybody
-- once the lease has run out.
--
-- The first crash may be the machine's fault, so the task is due at once; then the waits double.
UPDATE tasks SET
    state = verdict.state,
    finished_at = CASE WHEN verdict.state = 'retrying' THEN NULL ELSE now() END,
    lease_token = NULL, lease_expires_at = NULL,
    crash_count = verdict.crashes,
    reason = verdict.code,
    error = CASE WHEN verdict.state = 'cancelled' THEN NULL
        ELSE jsonb_build_object('code', verdict.code, 'message', verdict.message) END,
    due_at = now() + CASE WHEN verdict.crashes > 1 AND %(crashed)s
        THEN random() * least(60, 2 ^ least(verdict.crashes, 6)) ELSE 0 END
        * interval '1 second'
FROM (
    SELECT id, token, crashes, state, code,
        CASE code
            WHEN 'deadline-exceeded' THEN 'the task was not done by its deadline'
            WHEN 'outcome-unknown' THEN 'the attempt was lost, and no second one is allowed: ' || %(why)s
            ELSE %(why)s
        END AS message
    FROM (
        SELECT id, lease_token AS token, crash_count + %(crashed)s::boolean::integer AS crashes,
            CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                 WHEN deadline_at <= now() OR at_most_once THEN 'failed'
                 WHEN %(crashed)s AND crash_count + 1 >= max_crashes THEN 'quarantined'
                 ELSE 'retrying' END AS state,
            CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled by the caller'
                 WHEN deadline_at <= now() THEN 'deadline-exceeded'
                 WHEN at_most_once THEN 'outcome-unknown'
                 ELSE %(code)s END AS code
        FROM tasks
        WHERE id = ANY (%(ids)s) AND state = 'running'
          AND (worker = %(worker)s OR lease_expires_at <= now())
        FOR UPDATE
    ) AS lost
) AS verdict
WHERE tasks.id = verdict.id AND tasks.lease_token = verdict.token
RETURNING tasks.id, tasks.state, pg_notify('taskyard_dispatch', '');

-- name: extend_leases
-- Heartbeat: extend what this worker runs, in one statement, and hear what it should stop. What is
-- not returned is not its own any more. Losing an extension to a crash loses nothing else.
UPDATE tasks SET lease_expires_at = now() + interval '15 seconds'
WHERE id = ANY (%(ids)s) AND worker = %(worker)s AND state = 'running'
  AND set_config('synchronous_commit', 'off', true) > ''
RETURNING id, extract(epoch FROM now() - cancel_requested_at)::double precision AS cancelled_for,
          extract(epoch FROM now() - deadline_at)::double precision AS overdue_by;

-- name: find_lost
-- The lease of an attempt whose process was killed, for the parent that killed it.
SELECT tenant, lease_token AS token, error_count, max_attempts FROM tasks
WHERE id = %(id)s AND worker = %(worker)s AND state = 'running';

-- name: cancel
-- The task ends because it was asked to, if the lease is still ours.
UPDATE tasks SET
    state = 'cancelled', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
    reason = 'cancelled by the caller', error = NULL
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: give_back
-- A wake-up reached a worker that does not know the task type: schedule it anew. It may not have
-- been marked as queued yet.
UPDATE tasks SET state = 'scheduled', reason = %(reason)s, due_at = now() + interval '10 seconds'
WHERE id = %(id)s AND type = %(type)s AND state IN ('pending', 'queued')
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: set_aside
-- A task that could be claimed but was not, as its pool is paused: the wake-up is spent, so it waits
-- for another. It may not have been marked as queued yet. The dispatcher is told, who makes it pending
-- again: so it is counted among those that wait, and a resume that came before it finds it.
UPDATE tasks SET state = 'scheduled', reason = %(reason)s
WHERE id = %(id)s AND type = %(type)s AND state IN ('pending', 'queued')
  AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: is_cancelled
-- Whether an attempt should stop. No row: the lease is not ours any more.
SELECT cancel_requested_at IS NOT NULL FROM tasks WHERE id = %(id)s AND lease_token = %(token)s;

-- name: report_progress
-- Store how far an attempt is, if the lease is still ours, and hear whether it should stop.
UPDATE tasks SET progress = %(progress)s::jsonb
WHERE id = %(id)s AND lease_token = %(token)s
  AND set_config('synchronous_commit', 'off', true) > ''
RETURNING cancel_requested_at IS NOT NULL;

-- name: read_outcome
-- What a Celery result backend shows of a task.
SELECT id, tenant, state, type, result, error, finished_at, attempt FROM tasks WHERE id = %(id)s;
