-- What `taskyard top` shows.

-- name: read_pools
-- What waits for its turn, is with the broker and runs of each pool; what waits is counted up to a
-- bound. In the order of the index, which is used for it whatever the statistics say.
SELECT asked.pool, pool_windows.size AS window,
       (SELECT count(*) FROM (
            SELECT FROM tasks WHERE state = 'pending' AND tasks.pool = asked.pool
            ORDER BY tenant, priority + boost, publish_at LIMIT %(most)s) AS pending) AS waiting,
       (SELECT count(*) FROM (
            SELECT FROM tasks WHERE state = 'queued' AND tasks.pool = asked.pool
            ORDER BY queued_at LIMIT %(most)s) AS queued) AS held,
       (SELECT count(*) FROM tasks WHERE state = 'running' AND tasks.pool = asked.pool) AS running
FROM unnest(%(pools)s::text[]) AS asked (pool)
LEFT JOIN pool_windows USING (pool);

-- name: sample_starts
-- How many attempts of each pool began in a second lately, and how long they had waited since they
-- were due: from the newest changes in the history, so that it costs the same however much happens.
WITH newest AS MATERIALIZED (
    SELECT task_id, at, state FROM task_events
    ORDER BY position DESC LIMIT %(most)s
), covered AS (
    SELECT CASE WHEN count(*) < %(most)s THEN %(seconds)s
                ELSE least(%(seconds)s, extract(epoch FROM now() - min(at))) END
               ::double precision AS seconds
    FROM newest
)
SELECT tasks.pool, count(*) / greatest((SELECT seconds FROM covered), 0.001) AS rate,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (
           ORDER BY extract(epoch FROM began.at - tasks.due_at)::double precision)
           FILTER (WHERE tasks.due_at <= began.at) AS waits
FROM newest AS began
JOIN tasks ON tasks.id = began.task_id
WHERE began.state = 'running'
  AND began.at > now() - (SELECT seconds FROM covered) * interval '1 second'
GROUP BY tasks.pool;

-- name: longest_running
-- The attempts that have run longest: the first of each pool, and of all those the first, so that
-- only these are read however many run.
WITH RECURSIVE pools AS (
    (SELECT pool FROM tasks WHERE state = 'running' ORDER BY pool LIMIT 1)
    UNION ALL
    SELECT next.pool FROM pools CROSS JOIN LATERAL (
        SELECT pool FROM tasks WHERE state = 'running' AND pool > pools.pool
        ORDER BY pool LIMIT 1) AS next
)
SELECT id, tenant, type, first.pool, worker, attempt,
       extract(epoch FROM now() - started_at)::double precision AS seconds,
       (progress ->> 'fraction')::double precision AS fraction
FROM pools CROSS JOIN LATERAL (
    SELECT * FROM tasks WHERE state = 'running' AND tasks.pool = pools.pool
    ORDER BY started_at, id LIMIT %(limit)s) AS first
ORDER BY started_at, id LIMIT %(limit)s;
