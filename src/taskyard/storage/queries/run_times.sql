-- Run times, measured from the history of attempts, and what they say of those who wait.

-- name: take_measured
-- How far the history was measured, for the one dispatcher that asks first in a while.
SELECT position FROM measured WHERE at <= now() - %(every)s * interval '1 second'
FOR UPDATE SKIP LOCKED;

-- name: keep_measured
-- Go on from here.
UPDATE measured SET position = %(position)s, at = now()
WHERE set_config('synchronous_commit', 'off', true) > '';

-- name: newest_position
-- How long the history is.
SELECT coalesce((SELECT position FROM task_events ORDER BY position DESC LIMIT 1), 0);

-- name: sample_attempts
-- The newest attempts that ended, by pool and type: how many, and how long they ran. A sample is
-- enough, so its cost is bounded however much happens.
SELECT pool, type, count(*), avg(seconds), var_pop(seconds)
FROM (
    SELECT tasks.pool, tasks.type,
           extract(epoch FROM ended.at - began.at)::double precision AS seconds
    FROM (SELECT task_id, seq, at, state FROM task_events
          WHERE position > %(after)s ORDER BY position DESC LIMIT %(most)s) AS ended
    JOIN task_events AS began ON began.task_id = ended.task_id AND began.seq = ended.seq - 1
    JOIN tasks ON tasks.id = ended.task_id
    WHERE began.state = 'running' AND ended.state IN ('succeeded', 'failed', 'retrying')
) AS attempts
GROUP BY pool, type;

-- name: keep_run_times
-- Mix a sample into what is known: the more attempts, the more it counts.
INSERT INTO run_times (pool, type, mean, variance)
SELECT * FROM unnest(%(pools)s::text[], %(types)s::text[], %(means)s::double precision[],
                     %(variances)s::double precision[])
ON CONFLICT (pool, type) DO UPDATE SET (mean, variance) = (
    SELECT run_times.mean + share * apart,
           (1 - share) * (run_times.variance + share * apart ^ 2) + share * excluded.variance
    FROM (SELECT excluded.mean - run_times.mean AS apart,
                 given.share FROM unnest(%(pools)s::text[], %(types)s::text[],
                                         %(shares)s::double precision[]) AS given (pool, type, share)
          WHERE given.pool = excluded.pool AND given.type = excluded.type) AS mixed);

-- name: keep_pool_times
-- The same for a pool as a whole.
UPDATE pool_windows SET
    run_mean = CASE WHEN run_mean IS NULL THEN %(mean)s
                    ELSE run_mean + %(share)s * (%(mean)s - run_mean) END,
    run_variance = CASE WHEN run_mean IS NULL THEN %(variance)s
        ELSE (1 - %(share)s) * (run_variance + %(share)s * (%(mean)s - run_mean) ^ 2)
             + %(share)s * %(variance)s END
WHERE pool = %(pool)s;

-- name: read_pace
-- How fast a pool works: its workers, what runs, how long tasks run. Those of a type, if one is
-- named.
SELECT consumers,
       (SELECT count(*) FROM tasks WHERE state = 'running' AND tasks.pool = pool_windows.pool)
           AS running,
       run_mean, run_variance, of_type.mean AS type_mean, of_type.variance AS type_variance
FROM pool_windows
LEFT JOIN run_times AS of_type ON of_type.pool = pool_windows.pool AND of_type.type = %(type)s
WHERE pool_windows.pool = %(pool)s;

-- name: read_paces
-- The same of every pool.
SELECT pool, consumers, 0::bigint AS running, run_mean, run_variance,
       NULL::double precision AS type_mean, NULL::double precision AS type_variance
FROM pool_windows;

-- name: count_ahead
-- How many wake-ups of a pool go before one of a tenant and level, that is in line since `since`
-- (null: it is the last). Of lines that take turns with it only as many count as have a turn before
-- it. Each is counted up to a bound, and so are the lines; a line longer than that is taken to go on
-- for as many turns as it has before this one. What is not due yet goes before nobody, but for what
-- an API process holds for a few seconds to publish it by itself. Lines are ranges of the index: see
-- read_lines in windows.sql.
WITH RECURSIVE found AS (
    (SELECT tenant, priority + boost AS level FROM tasks
     WHERE state = 'pending' AND pool = %(pool)s
     ORDER BY tenant, priority + boost LIMIT 1)
    UNION ALL
    SELECT following.* FROM found CROSS JOIN LATERAL (
        SELECT tasks.tenant, priority + boost AS level FROM tasks
        WHERE state = 'pending' AND pool = %(pool)s
          AND (tasks.tenant, priority + boost) > (found.tenant, found.level)
        ORDER BY tasks.tenant, priority + boost LIMIT 1) AS following
), lines AS MATERIALIZED (
    SELECT found.*, coalesce(tenants.weight, 1) AS weight FROM found
    LEFT JOIN tenants ON tenants.name = found.tenant
    LIMIT %(lines)s
), own AS MATERIALIZED (
    SELECT (SELECT count(*) FROM (
                SELECT FROM tasks
                WHERE state = 'pending'
                  AND (pool, tasks.tenant, priority + boost)
                      >= (%(pool)s, %(tenant)s, %(level)s::smallint)
                  AND (pool, tasks.tenant, priority + boost, publish_at)
                      <= (%(pool)s, %(tenant)s, %(level)s::smallint,
                          coalesce(%(since)s, now() + interval '10 seconds'))
                  AND (publish_at < coalesce(%(since)s, 'infinity'::timestamptz)
                       OR id < %(id)s::uuid)
                ORDER BY pool, tasks.tenant, priority + boost, publish_at
                LIMIT %(most)s) AS before)
               AS ahead,
           coalesce((SELECT weight FROM tenants WHERE name = %(tenant)s), 1) AS weight
)
SELECT (SELECT count(*) FROM (
            SELECT FROM tasks WHERE state = 'queued' AND tasks.pool = %(pool)s
            ORDER BY queued_at LIMIT %(most)s) AS queued) AS queued,
       own.ahead + coalesce((
           SELECT sum(CASE WHEN counted.ahead < %(most_of_others)s OR lines.level > %(level)s
                           THEN least(counted.ahead, turns.most) ELSE turns.most END)
           FROM lines
           CROSS JOIN LATERAL (
               SELECT CASE WHEN lines.level > %(level)s THEN %(most)s
                           ELSE ceil((own.ahead + 1) * lines.weight / own.weight) END AS most
           ) AS turns
           CROSS JOIN LATERAL (
               SELECT count(*) AS ahead FROM (
                   SELECT FROM tasks
                   WHERE state = 'pending'
                     AND (pool, tasks.tenant, priority + boost)
                         >= (%(pool)s, lines.tenant, lines.level)
                     AND (pool, tasks.tenant, priority + boost, publish_at)
                         <= (%(pool)s, lines.tenant, lines.level, now() + interval '10 seconds')
                   ORDER BY pool, tasks.tenant, priority + boost, publish_at
                   LIMIT least(%(most_of_others)s, turns.most)) AS before
           ) AS counted
           WHERE lines.level >= %(level)s
             AND NOT (lines.level = %(level)s AND lines.tenant = %(tenant)s)), 0)::bigint AS ahead
FROM own;

-- name: count_queued_before
-- How many wake-ups the broker hands out before one: the more urgent, and of the same those before.
SELECT count(*) FROM (
    SELECT queued_at, priority FROM tasks WHERE state = 'queued' AND pool = %(pool)s
    ORDER BY queued_at LIMIT %(most)s) AS queued
WHERE priority > %(level)s OR (priority = %(level)s AND queued_at < %(since)s);
