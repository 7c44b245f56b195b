-- What is read when it is asked why a task is not running.

-- name: read_task
-- A task as far as it matters, and who asked for its end: they are sought among the newest of the
-- tenant's audit log, which has no other order.
SELECT id, tenant, type, pool, state, reason, priority + boost AS level, attempt, crash_count,
       due_at, expires_at, publish_at, publish_failures, queued_at, started_at, finished_at,
       waits_for, worker, lease_expires_at, cancel_requested_at, error, now() AS at,
       CASE WHEN cancel_requested_at IS NOT NULL OR state = 'cancelled' THEN (
           SELECT actor FROM (
               SELECT seq, actor, action, target FROM audit_log
               WHERE audit_log.tenant = %(tenant)s ORDER BY seq DESC LIMIT 10000) AS newest
           WHERE target = 'task:' || tasks.id AND action = 'task.cancelled'
           ORDER BY seq DESC LIMIT 1) END AS cancelled_by
FROM tasks
WHERE id = %(id)s AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s);

-- name: count_pool
-- What runs of a pool, what the broker holds of it and may hold, when a dispatcher was seen, and
-- whether a worker said that it knows a type; and whether the pool is paused. What is held is counted
-- up to a bound.
SELECT (SELECT count(*) FROM tasks WHERE state = 'running' AND tasks.pool = asked.pool) AS running,
       (SELECT count(*) FROM (
            SELECT FROM tasks WHERE state = 'queued' AND tasks.pool = asked.pool
            ORDER BY queued_at LIMIT %(most)s) AS queued) AS held,
       pool_windows.size AS window,
       (SELECT extract(epoch FROM now() - at)::double precision FROM measured) AS dispatcher_ago,
       EXISTS (SELECT FROM task_types WHERE type = %(type)s) AS announced,
       pool_pauses.since AS paused_at, pool_pauses.reason AS pause_reason
FROM (SELECT %(pool)s::text AS pool) AS asked
LEFT JOIN pool_windows USING (pool)
LEFT JOIN pool_pauses USING (pool);

-- name: next_opening
-- When a rate that is used up allows another start.
SELECT at + %(seconds)s * interval '1 second' FROM starts WHERE name = %(name)s
ORDER BY at DESC OFFSET %(most)s::integer - 1 LIMIT 1;
