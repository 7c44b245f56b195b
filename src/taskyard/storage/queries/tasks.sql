-- The statements of the API side and the dispatcher on tasks. What workers do is in attempts.sql.

-- name: insert_tasks
-- Store submissions, many in one statement: they share one commit. After a broken connection it is
-- said again, and may have been heard the first time. The rows come as one JSON text: as arrays,
-- column by column, they took the API up to six times as long to write (measured).
INSERT INTO tasks (id, tenant, type, pool, priority, args, labels, max_attempts, max_crashes, at_most_once,
                   state, due_at, publish_at, expires_at, deadline_at, watched,
                   notify_url, finish_by, start_by, boost_at, traceparent, tracestate)
SELECT id, tenant, type, pool, priority, args, labels, max_attempts, max_crashes,
       at_most_once,
       CASE WHEN due_at > now() THEN 'scheduled' ELSE 'pending' END,
       due_at,
       now() + hold * interval '1 second',
       now() + least(expires_in, deadline) * interval '1 second',
       now() + deadline * interval '1 second',
       watched,
       notify_url,
       finish_by, start_by, now() + (start_by - now()) / 2,
       traceparent, tracestate
FROM (
    SELECT *, coalesce(run_at, now() + coalesce(delay, 0) * interval '1 second') AS due_at
    FROM json_to_recordset(%(rows)s::json) AS given (
        id uuid, tenant text, type text, pool text, priority smallint, args jsonb, labels jsonb,
        max_attempts integer, max_crashes integer, at_most_once boolean, delay double precision,
        run_at timestamptz, expires_in double precision, deadline double precision,
        hold double precision, watched boolean, notify_url text,
        finish_by timestamptz, start_by timestamptz, traceparent text, tracestate text)
) AS submitted
ON CONFLICT (id) DO NOTHING
RETURNING id, state, created_at, due_at;

-- name: insert_keyed_tasks
-- The same for submissions of which some have an idempotency key: those whose key is taken are left
-- out. Keys are taken in their own order, so that no two statements wait for each other. It is a
-- statement of its own because to look at keys, and find none, costs 40 us (measured, of 430 us).
WITH submitted AS (
    SELECT *, coalesce(run_at, now() + coalesce(delay, 0) * interval '1 second') AS due_at
    FROM json_to_recordset(%(rows)s::json) AS given (
        id uuid, tenant text, type text, pool text, priority smallint, args jsonb, labels jsonb,
        max_attempts integer, max_crashes integer, at_most_once boolean, delay double precision,
        run_at timestamptz, expires_in double precision, deadline double precision,
        hold double precision, watched boolean, notify_url text,
        finish_by timestamptz, start_by timestamptz, traceparent text, tracestate text,
        key_tenant text, key text, request_hash bytea, key_life double precision)
), taken AS (
    INSERT INTO idempotency_keys (tenant, key, request_hash, task_id, pool, priority, state,
                                  due_at, expires_at)
    SELECT key_tenant, key, request_hash, id, pool, priority,
           CASE WHEN due_at > now() THEN 'scheduled' ELSE 'pending' END,
           due_at,
           due_at + key_life * interval '1 second'
    FROM submitted
    WHERE key IS NOT NULL
    ORDER BY key_tenant COLLATE "C", key COLLATE "C", id
    ON CONFLICT (tenant, key) DO NOTHING
    RETURNING task_id
)
INSERT INTO tasks (id, tenant, type, pool, priority, args, labels, max_attempts, max_crashes, at_most_once,
                   state, due_at, publish_at, expires_at, deadline_at, watched,
                   notify_url, finish_by, start_by, boost_at, traceparent, tracestate)
SELECT id, tenant, type, pool, priority, args, labels, max_attempts, max_crashes,
       at_most_once,
       CASE WHEN due_at > now() THEN 'scheduled' ELSE 'pending' END,
       due_at,
       now() + hold * interval '1 second',
       now() + least(expires_in, deadline) * interval '1 second',
       now() + deadline * interval '1 second',
       watched,
       notify_url,
       finish_by, start_by, now() + (start_by - now()) / 2,
       traceparent, tracestate
FROM submitted
WHERE key IS NULL OR id IN (SELECT task_id FROM taken)
ON CONFLICT (id) DO NOTHING
RETURNING id, state, created_at, due_at;

-- name: find_accepted
-- Submissions that an earlier INSERT stored, whose outcome was lost with the connection.
SELECT id, state, created_at, due_at FROM tasks WHERE id = ANY (%(ids)s);

-- name: get_task
-- One task, whole.
SELECT id, tenant, type, pool, priority, state, reason, args, result, error, attempt,
       max_attempts, generation, error_count, crash_count, progress, labels, worker, created_at,
       due_at, expires_at, deadline_at, cancel_requested_at, queued_at, started_at, finished_at,
       notify_url, finish_by, substr(traceparent, 4, 32) AS trace_id
FROM tasks
WHERE id = %(id)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s);

-- name: list_tasks
-- These, newest first: UUIDv7 ids are in the order of their making. It ends where one more task would
-- be more than so many bytes; these are counted one task after the other, so that of those behind
-- nothing is read. `matching` is how many there would be without that.
WITH RECURSIVE page AS MATERIALIZED (
    SELECT array_agg(id ORDER BY id DESC) AS ids FROM tasks
    WHERE id = ANY (%(ids)s) AND tenant = %(tenant)s
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
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

-- name: list_events
-- The history of one task, in order.
SELECT task_id AS id, tenant, seq, at, state, generation, attempt, worker, reason, error, detail
FROM task_events WHERE task_id = %(id)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL
       OR EXISTS (SELECT FROM tasks WHERE id = %(id)s AND type || '.' ~ %(types)s))
ORDER BY seq;

-- name: cancel_unstarted
-- Cancel a task that has not started. No row: it started, ended or never was.
UPDATE tasks SET state = 'cancelled', reason = %(reason)s, finished_at = now()
WHERE id = %(id)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND state IN ('scheduled', 'pending', 'queued', 'retrying')
RETURNING id;

-- name: reprioritise
-- Give a task that waits another priority. No row: it started, ended or never was.
UPDATE tasks SET priority = %(priority)s::smallint,
                 boost = least(boost, 9 - %(priority)s::smallint)
WHERE id = %(id)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND state IN ('scheduled', 'pending', 'queued', 'retrying')
RETURNING id;

-- name: promote_due
-- Scheduled and retrying tasks whose time has come are pending now.
UPDATE tasks SET state = 'pending', publish_at = now(), reason = NULL
WHERE id IN (
    SELECT id FROM tasks
    WHERE state IN ('scheduled', 'retrying') AND due_at <= now()
    ORDER BY due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: mark_queued
-- The broker confirmed these wake-ups. A worker may have claimed some already: those are left, also
-- if they are pending again, because that wake-up is spent.
UPDATE tasks SET state = 'queued', queued_at = now(), publish_failures = 0, reason = NULL
FROM (SELECT found.id
      FROM (SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::integer[]) AS given (id, attempt)
            ORDER BY id) AS published
      -- Each by its key, also when the statistics are of before a million came: with a plain join
      -- all that is pending was then held against each of these (measured: half a minute).
      CROSS JOIN LATERAL (SELECT tasks.id FROM tasks
                          WHERE tasks.id = published.id AND tasks.attempt = published.attempt
                            AND state = 'pending'
                          LIMIT 1 FOR UPDATE) AS found) AS confirmed
WHERE tasks.id = confirmed.id
  -- A loss of this mark publishes a wake-up twice, which is harmless: no need to wait for the disk.
  AND set_config('synchronous_commit', 'off', true) IS NOT NULL;

-- name: put_back
-- The broker refused these wake-ups: try again later, each time after a longer wait.
UPDATE tasks SET
    publish_failures = least(publish_failures + 1, 100),
    publish_at = now() + least(60, 2 ^ least(publish_failures, 6)) * interval '1 second',
    reason = %(reason)s
WHERE id = ANY (%(ids)s) AND state = 'pending';

-- name: release
-- The broker did not answer for these wake-ups: publish again as soon as it is back.
UPDATE tasks SET publish_at = now(), reason = %(reason)s
WHERE id = ANY (%(ids)s) AND state = 'pending';

-- name: publish_again
-- Wake-ups that lay in a queue which is gone: schedule anew what was not claimed from it. Only that
-- is left which a worker holds in its hands, or lost; a second wake-up is harmless.
UPDATE tasks SET state = 'scheduled', reason = %(reason)s, due_at = now()
WHERE pool = %(pool)s AND state = 'queued' AND queued_at < %(queued_before)s
RETURNING id, pg_notify('taskyard_dispatch', '');

-- name: boost_due
-- Tasks whose date comes near rise a level each time that half of the time left is used up, and in the
-- last second to the top.
UPDATE tasks SET
    boost = CASE WHEN due_soon.last THEN 9 - priority ELSE boost + 1 END,
    boost_at = CASE WHEN NOT due_soon.last AND priority + boost < 8
                    THEN now() + (start_by - now()) / 2 END
FROM (SELECT id, start_by <= now() + interval '1 second' OR priority + boost >= 9 AS last
      FROM tasks
      WHERE boost_at <= now() AND state IN ('scheduled', 'pending', 'retrying')
      ORDER BY boost_at LIMIT %(limit)s
      FOR UPDATE SKIP LOCKED) AS due_soon
WHERE tasks.id = due_soon.id;

-- name: expire_due
-- Tasks that have not started by their expiry never will.
UPDATE tasks SET state = 'expired', finished_at = now(),
    reason = CASE WHEN deadline_at <= now() THEN 'not done by its deadline'
                  ELSE 'not started in time' END
WHERE id IN (
    SELECT id FROM tasks
    WHERE expires_at <= now() AND state IN ('scheduled', 'pending', 'queued', 'retrying')
    ORDER BY expires_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: next_deadline
-- In how many seconds the next task is due, rises or expires; null when none will. Pending tasks that
-- wait for another try are left out: they are looked for every second.
SELECT extract(epoch FROM least(
           (SELECT min(due_at) FROM tasks WHERE state IN ('scheduled', 'retrying')),
           (SELECT min(boost_at) FROM tasks
            WHERE boost_at IS NOT NULL AND state IN ('scheduled', 'pending', 'retrying')),
           (SELECT min(expires_at) FROM tasks
            WHERE expires_at IS NOT NULL
              AND state IN ('scheduled', 'pending', 'queued', 'retrying'))
       ) - now())::double precision AS seconds;

-- name: lock_expired_leases
-- Running tasks whose worker has not said for too long that it lives. A server that was away itself
-- has heard nobody, and is given the time of a lease to hear them again.
SELECT id FROM tasks
WHERE state = 'running' AND lease_expires_at <= now()
  AND pg_postmaster_start_time() < now() - interval '15 seconds'
ORDER BY id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: request_cancel
-- Ask the worker of a running task to stop it. No row: it does not run.
UPDATE tasks SET cancel_requested_at = coalesce(cancel_requested_at, now())
WHERE id = %(id)s AND tenant = %(tenant)s AND state = 'running'
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
RETURNING pg_notify('taskyard_stop', id::text);

-- name: count_pending
-- How many tasks wait to be published, counted up to a bound.
SELECT count(*) FROM (SELECT FROM tasks WHERE state = 'pending' LIMIT %(at_most)s) AS pending;

-- name: count_pending_of
-- The same of one pool.
SELECT count(*) FROM (
    SELECT FROM tasks WHERE state = 'pending' AND pool = %(pool)s
    ORDER BY tenant, priority + boost, publish_at LIMIT %(at_most)s) AS pending;

-- name: count_holdings
-- How many tasks of each tenant wait to be published, and what it weighs, in one pool or (null) in
-- all, counted up to a bound. An order is asked for so that the index is used.
SELECT held.tenant, held.count, coalesce(tenants.weight, 1)::double precision
FROM (
    SELECT tenant, count(*) AS count FROM (
        SELECT tenant FROM tasks
        WHERE state = 'pending' AND (%(pool)s::text IS NULL OR pool = %(pool)s)
        ORDER BY pool, tenant, priority + boost, publish_at LIMIT %(at_most)s) AS pending
    GROUP BY tenant) AS held
LEFT JOIN tenants ON tenants.name = held.tenant;

-- name: count_running
-- How many tasks run in each pool.
SELECT pool, count(*) AS running FROM tasks WHERE state = 'running' GROUP BY pool;

-- name: ring
-- Wake the dispatcher: there is something to publish or a new date to wait for.
SELECT pg_notify('taskyard_dispatch', '');
