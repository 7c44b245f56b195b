-- Dead letters: tasks that failed, expired or were quarantined. A task without an error, because it
-- never ran, has its state for a code.

-- name: list_dead_letters
-- One page, newest first: UUIDv7 ids are in the order of their making. It is bounded as list_tasks is.
WITH RECURSIVE page AS MATERIALIZED (
    SELECT array_agg(id) AS ids FROM (
        SELECT id FROM tasks
        WHERE tenant = %(tenant)s AND state IN ('failed', 'expired', 'quarantined')
          AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
          AND (%(before)s::uuid IS NULL OR id < %(before)s)
          AND (%(type)s::text IS NULL OR type = %(type)s)
          AND (%(pool)s::text IS NULL OR pool = %(pool)s)
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(code)s::text IS NULL OR coalesce(error ->> 'code', state) = %(code)s)
          AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s)
          AND (%(finished_after)s::timestamptz IS NULL OR finished_at >= %(finished_after)s)
          AND (%(finished_before)s::timestamptz IS NULL OR finished_at < %(finished_before)s)
        ORDER BY id DESC
        LIMIT %(limit)s) AS matching
), fitting AS (
    SELECT 0 AS tasks, 0::bigint AS bytes
    UNION ALL
    SELECT fitting.tasks + 1, fitting.bytes + next.bytes
    FROM fitting CROSS JOIN page CROSS JOIN LATERAL (
        SELECT octet_length(args::text) + coalesce(octet_length(result::text), 0)
               + coalesce(octet_length(error::text), 0)
               + coalesce(octet_length(progress::text), 0) AS bytes
        FROM tasks WHERE id = page.ids[fitting.tasks + 1]) AS next
    WHERE fitting.tasks = 0 OR fitting.bytes + next.bytes <= %(bytes)s
)
SELECT cardinality(page.ids) AS matching,
       id, tenant, type, pool, priority, state, reason, args, result, error,
       attempt, max_attempts, generation, error_count, crash_count, progress, labels, worker,
       created_at, due_at, expires_at, deadline_at, cancel_requested_at, queued_at, started_at,
       finished_at, notify_url, finish_by, substr(traceparent, 4, 32) AS trace_id
FROM page
JOIN tasks ON id = ANY (page.ids[1:(SELECT max(fitting.tasks) FROM fitting)])
ORDER BY id DESC;

-- name: group_dead_letters
-- What went wrong and how often, the most frequent first. All that match are counted in `total`, but
-- only the newest are grouped: to fold a message takes longer than all the rest.
WITH matching AS MATERIALIZED (
    SELECT id FROM tasks
    WHERE tenant = %(tenant)s AND state IN ('failed', 'expired', 'quarantined')
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(code)s::text IS NULL OR coalesce(error ->> 'code', state) = %(code)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s)
      AND (%(finished_after)s::timestamptz IS NULL OR finished_at >= %(finished_after)s)
      AND (%(finished_before)s::timestamptz IS NULL OR finished_at < %(finished_before)s)
)
SELECT type, state, code, max(message) AS message, count(*) AS count,
       min(finished_at) AS first_seen, max(finished_at) AS last_seen,
       max(id::text)::uuid AS sample, max(id::text)::uuid AS id, max(tenant) AS tenant,
       -- Of one that is sealed the message cannot be folded here.
       (array_agg(error ORDER BY id DESC) FILTER (WHERE error ? '$sealed'))[1] AS error,
       (SELECT count(*) FROM matching) AS total
FROM (
    SELECT id, tenant, type, state, finished_at, error, coalesce(error ->> 'code', state) AS code,
           message_shape(coalesce(error ->> 'message', reason, '')) AS message
    FROM (SELECT id FROM matching ORDER BY id DESC LIMIT %(newest)s) AS newest
    JOIN tasks USING (id)
) AS dead_letter
GROUP BY type, state, code, coalesce(error ->> 'shape', message)
ORDER BY count DESC, last_seen DESC
LIMIT %(limit)s;

-- name: next_dead_letters
-- The next ones above an id, the oldest first, with what must be looked at before a replay.
SELECT id, tenant, type, args, priority, generation
FROM tasks
WHERE tenant = %(tenant)s AND state IN ('failed', 'expired', 'quarantined')
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND id > %(after)s
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(code)s::text IS NULL OR coalesce(error ->> 'code', state) = %(code)s)
  AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s)
  AND (%(finished_after)s::timestamptz IS NULL OR finished_at >= %(finished_after)s)
  AND (%(finished_before)s::timestamptz IS NULL OR finished_at < %(finished_before)s)
ORDER BY id
LIMIT %(limit)s;

-- name: count_dead_letters
-- How many there are above an id, counted up to a bound.
SELECT count(*) FROM (
    SELECT FROM tasks
    WHERE tenant = %(tenant)s AND state IN ('failed', 'expired', 'quarantined')
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND id > %(after)s
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(code)s::text IS NULL OR coalesce(error ->> 'code', state) = %(code)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s)
      AND (%(finished_after)s::timestamptz IS NULL OR finished_at >= %(finished_after)s)
      AND (%(finished_before)s::timestamptz IS NULL OR finished_at < %(finished_before)s)
    LIMIT %(at_most)s) AS rest;

-- name: replay_dead_letters
-- Begin a new generation of these, each in the pool that runs its type today, unless they are no
-- longer as they were seen. Those numbered from `offset` on become due one after the other, `rate` a
-- second; without a rate, all now.
UPDATE tasks SET
    state = 'pending', generation = tasks.generation + 1, error_count = 0, crash_count = 0,
    pool = chosen.pool,
    reason = 'replayed', due_at = chosen.due_at, publish_at = chosen.due_at, publish_failures = 0,
    error = NULL, result = NULL, progress = NULL, worker = NULL, cancel_requested_at = NULL,
    queued_at = NULL, started_at = NULL, finished_at = NULL,
    boost = 0, boost_at = NULL, start_by = NULL, finish_by = NULL,
    -- A date that will have passed by then would end it before it starts.
    expires_at = CASE WHEN expires_at > chosen.due_at THEN expires_at END,
    deadline_at = CASE WHEN deadline_at > chosen.due_at THEN deadline_at END
FROM (
    SELECT id, pool, coalesce(now() + (%(offset)s + row_number() OVER (ORDER BY id) - 1)
                                      / %(rate)s::double precision * interval '1 second',
                              now()) AS due_at
    FROM (
        SELECT dead.id, seen.pool
        FROM unnest(%(ids)s::uuid[], %(generations)s::integer[], %(pools)s::text[])
            AS seen (id, generation, pool)
        JOIN tasks AS dead USING (id, generation)
        WHERE dead.tenant = %(tenant)s
          AND dead.state IN ('failed', 'expired', 'quarantined', 'cancelled')
        ORDER BY dead.id
        FOR UPDATE OF dead SKIP LOCKED
    ) AS still
) AS chosen
WHERE tasks.id = chosen.id
RETURNING tasks.id;

-- name: replay_task
-- Begin a new generation of one ended task. No row: it is no longer as it was seen.
UPDATE tasks SET
    state = 'pending', generation = generation + 1, error_count = 0, crash_count = 0,
    pool = %(pool)s, args = coalesce(%(args)s::jsonb, args),
    priority = coalesce(%(priority)s::smallint, priority),
    reason = 'replayed', due_at = now(), publish_at = now(), publish_failures = 0,
    error = NULL, result = NULL, progress = NULL, worker = NULL, cancel_requested_at = NULL,
    queued_at = NULL, started_at = NULL, finished_at = NULL,
    boost = 0, boost_at = NULL, start_by = NULL, finish_by = NULL,
    expires_at = CASE WHEN expires_at > now() THEN expires_at END,
    deadline_at = CASE WHEN deadline_at > now() THEN deadline_at END
WHERE id = %(id)s AND tenant = %(tenant)s AND state = %(state)s AND generation = %(generation)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND state IN ('failed', 'expired', 'quarantined', 'cancelled')
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: list_attempts
-- Every attempt of a task: the claim began it, the event after that ended it.
SELECT task_id AS id, tenant, attempt AS number, generation, worker, at AS started_at, ended_at,
       coalesce(outcome, 'running') AS outcome, ended_because AS reason, ended_with AS error
FROM (
    SELECT task_id, tenant, seq, state, attempt, generation, worker, at,
           lead(at) OVER history AS ended_at, lead(state) OVER history AS outcome,
           lead(reason) OVER history AS ended_because, lead(error) OVER history AS ended_with
    FROM task_events WHERE task_id = %(id)s AND tenant = %(tenant)s
      AND (%(types)s::text IS NULL
           OR EXISTS (SELECT FROM tasks WHERE id = %(id)s AND type || '.' ~ %(types)s))
    WINDOW history AS (ORDER BY seq)
) AS event
WHERE state = 'running'
ORDER BY seq;
