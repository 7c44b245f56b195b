-- Statistics of what happened to tasks, and what of them has not ended.

-- name: take_cursor
-- How far the history was counted, for the one dispatcher that asks first in a while; likewise when
-- the backlog was.
SELECT position FROM statistics_cursors
WHERE purpose = %(purpose)s AND at <= now() - %(every)s * interval '1 second'
FOR UPDATE SKIP LOCKED;

-- name: keep_cursor
-- Go on from here. What a crash undoes is counted anew: cursor and sums are of one transaction.
UPDATE statistics_cursors SET position = %(position)s, at = now()
WHERE purpose = %(purpose)s AND set_config('synchronous_commit', 'off', true) > '';

-- name: last_of_slice
-- Up to where the next changes go, at most so many; null when there are none.
SELECT max(position) FROM (
    SELECT position FROM task_events
    WHERE position > %(after)s AND position <= %(until)s
    ORDER BY position LIMIT %(most)s) AS slice;

-- name: count_changes
-- Add the changes between two positions to minutes, hours and totals. A wait is from when a task was
-- last due: the change before its start, or the one before that.
WITH changes AS (
    SELECT now.tenant, tasks.pool, tasks.type, now.at,
           CASE WHEN now.seq = 1 THEN 'accepted'
                WHEN now.state = 'queued' THEN 'dispatched'
                WHEN now.state = 'running' THEN 'started'
                WHEN now.state = 'retrying' THEN 'retried'
                WHEN now.state = 'pending' AND now.generation > before.generation THEN 'replayed'
                WHEN now.state IN ('succeeded', 'failed', 'cancelled', 'expired', 'quarantined')
                THEN now.state END AS change,
           CASE WHEN before.state = 'running' AND right(now.error ->> 'message', length(%(reaped)s))
                     = %(reaped)s THEN 'reaped'
                WHEN before.state = 'running' AND now.reason = 'worker-lost' THEN 'crashed'
           END AS beside,
           CASE WHEN now.state = 'running' OR now.state = 'queued' THEN now.at - coalesce(
                    CASE WHEN before.state = 'pending' THEN before.at END,
                    CASE WHEN earlier.state = 'pending' THEN earlier.at END)
                WHEN before.state = 'running' THEN now.at - before.at END AS took
    FROM task_events AS now
    JOIN tasks ON tasks.id = now.task_id
    LEFT JOIN task_events AS before ON before.task_id = now.task_id AND before.seq = now.seq - 1
    LEFT JOIN task_events AS earlier
        ON earlier.task_id = now.task_id AND earlier.seq = now.seq - 2
        AND now.state = 'running' AND before.state = 'queued'
    WHERE now.position > %(after)s AND now.position <= %(last)s
), counted AS (
    SELECT date_trunc('minute', at) AS minute, tenant, pool, type, named.change,
           CASE WHEN named.took IS NOT NULL
                THEN greatest(0, extract(epoch FROM named.took))::double precision END AS seconds
    FROM changes CROSS JOIN LATERAL (VALUES (change, took), (beside, NULL)) AS named (change, took)
    WHERE named.change IS NOT NULL
), sorted AS (
    -- A bucket holds its upper bound, as in Prometheus; width_bucket has the lower one in it.
    SELECT *, cardinality(%(bounds)s::double precision[])
              - width_bucket(-seconds, %(mirrored)s::double precision[]) AS bucket
    FROM counted
), sums AS MATERIALIZED (
    SELECT minute, tenant, pool, type, change, count(*) AS count, sum(seconds) AS seconds,
           CASE WHEN count(seconds) > 0 THEN ARRAY[
               count(*) FILTER (WHERE bucket = 0), count(*) FILTER (WHERE bucket = 1),
               count(*) FILTER (WHERE bucket = 2), count(*) FILTER (WHERE bucket = 3),
               count(*) FILTER (WHERE bucket = 4), count(*) FILTER (WHERE bucket = 5),
               count(*) FILTER (WHERE bucket = 6), count(*) FILTER (WHERE bucket = 7),
               count(*) FILTER (WHERE bucket = 8), count(*) FILTER (WHERE bucket = 9),
               count(*) FILTER (WHERE bucket = 10), count(*) FILTER (WHERE bucket = 11),
               count(*) FILTER (WHERE bucket = 12), count(*) FILTER (WHERE bucket = 13),
               count(*) FILTER (WHERE bucket = 14), count(*) FILTER (WHERE bucket = 15),
               count(*) FILTER (WHERE bucket = 16)] END AS buckets
    FROM sorted GROUP BY minute, tenant, pool, type, change
), kept AS (
    INSERT INTO statistics AS old (span, at, tenant, pool, type, change, count, seconds, buckets)
    SELECT span, date_trunc(CASE span WHEN 1 THEN 'minute' ELSE 'hour' END, minute) AS at,
           tenant, pool, type, change, sum(count), sum(seconds), sum_elements(buckets)
    FROM sums CROSS JOIN (VALUES (1), (60)) AS spans (span)
    GROUP BY span, 2, tenant, pool, type, change
    ON CONFLICT (span, at, tenant, pool, type, change) DO UPDATE SET
        count = old.count + excluded.count,
        seconds = coalesce(old.seconds + excluded.seconds, old.seconds, excluded.seconds),
        buckets = coalesce(add_elements(old.buckets, excluded.buckets), old.buckets,
                           excluded.buckets)
)
INSERT INTO statistic_totals AS old (pool, type, change, count, seconds, buckets)
SELECT pool, type, change, sum(count), sum(seconds), sum_elements(buckets)
FROM sums GROUP BY pool, type, change
ON CONFLICT (pool, type, change) DO UPDATE SET
    count = old.count + excluded.count,
    seconds = coalesce(old.seconds + excluded.seconds, old.seconds, excluded.seconds),
    buckets = coalesce(add_elements(old.buckets, excluded.buckets), old.buckets, excluded.buckets);

-- name: forget_statistics
-- Remove what is older than 90 days, some rows at once.
DELETE FROM statistics WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM statistics
    WHERE span IN (1, 60) AND at < now() - interval '90 days' LIMIT %(limit)s));

-- name: count_backlog
-- Count what has not ended. Each state is counted through its own index; what has ended, which is
-- most, is not read.
WITH found AS (
    SELECT pool, state, priority, count(*) AS count, min(due_at) AS oldest
    FROM tasks WHERE state = 'pending' GROUP BY pool, state, priority
    UNION ALL
    SELECT pool, state, priority, count(*), min(due_at)
    FROM tasks WHERE state = 'queued' GROUP BY pool, state, priority
    UNION ALL
    SELECT pool, state, priority, count(*), min(due_at)
    FROM tasks WHERE state IN ('scheduled', 'retrying') GROUP BY pool, state, priority
    UNION ALL
    SELECT pool, state, priority, count(*), min(started_at)
    FROM tasks WHERE state = 'running' GROUP BY pool, state, priority
), gone AS (
    DELETE FROM backlog_counts AS old
    WHERE NOT EXISTS (SELECT FROM found WHERE (found.pool, found.state, found.priority)
                                            = (old.pool, old.state, old.priority))
)
INSERT INTO backlog_counts (pool, state, priority, count, oldest)
SELECT pool, state, priority, count, oldest FROM found
ON CONFLICT (pool, state, priority)
    DO UPDATE SET count = excluded.count, oldest = excluded.oldest;

-- name: without_scans
-- However old the statistics of the planner are: what is looked for is found by index, one row after
-- the other, and all the rest is not read.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true);

-- name: read_totals
-- What happened so far, each type's rows together, in the order in which types were first seen.
SELECT pool, type, change, count, seconds, buckets
FROM statistic_totals ORDER BY min(since) OVER (PARTITION BY type), type, pool, change;

-- name: read_backlog
-- What has not ended, and for how many seconds the first of it is due or runs.
SELECT pool, state, priority, count,
       greatest(0, extract(epoch FROM now() - oldest))::double precision AS age
FROM backlog_counts ORDER BY pool, state, priority;

-- name: read_standing
-- Pools with their workers and windows, what the reconciler found in each, and which are paused.
SELECT pool, coalesce(consumers, 0) AS consumers, coalesce(size, 0) AS size,
       coalesce(lost, 0) AS lost, coalesce(repaired, 0) AS repaired,
       coalesce(duplicated, 0) AS duplicated, pool_pauses.since IS NOT NULL AS paused
FROM pool_windows FULL JOIN reconciliation USING (pool) FULL JOIN pool_pauses USING (pool)
ORDER BY pool;

-- name: read_lag
-- For how many seconds the history was not counted any more, and the backlog.
SELECT purpose, extract(epoch FROM now() - at)::double precision FROM statistics_cursors
WHERE at > '-infinity';

-- name: read_series
-- What happened in each step of a time, to the tasks of a tenant (null: of all) and some types.
SELECT date_bin(%(step)s * interval '1 second', at, 'epoch'::timestamptz) AS at, pool, type,
       change, sum(count)::bigint AS count, sum(seconds) AS seconds,
       sum_elements(buckets) AS buckets
FROM statistics
WHERE span = %(span)s AND at >= %(since)s AND at < %(until)s
  AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND (%(type)s::text IS NULL OR type = %(type)s)
GROUP BY 1, pool, type, change ORDER BY 1, pool, type, change
LIMIT %(limit)s;

-- name: read_chart
-- What happened in each step of a time by pool, or by type: the most frequent by their names, all
-- others as one that has none. Buckets are summed up one by one, which takes less than half of the
-- time of an aggregate of arrays (measured).
WITH chosen AS MATERIALIZED (
    SELECT at, CASE WHEN %(by_type)s THEN type ELSE pool END AS name, change, count, seconds, buckets
    FROM statistics
    WHERE span = %(span)s AND at >= %(since)s AND at < %(until)s
      AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND change IN ('started', 'retried', 'succeeded', 'failed', 'cancelled', 'expired',
                     'quarantined')
), most AS (
    SELECT name FROM chosen GROUP BY name ORDER BY sum(count) DESC, name LIMIT %(most)s
)
SELECT date_bin(%(step)s * interval '1 second', at, 'epoch'::timestamptz) AS at, most.name, change,
       sum(count)::bigint AS count, sum(seconds) AS seconds,
       CASE WHEN count(buckets) > 0 THEN ARRAY[
               sum(buckets[1])::bigint, sum(buckets[2])::bigint, sum(buckets[3])::bigint,
               sum(buckets[4])::bigint, sum(buckets[5])::bigint, sum(buckets[6])::bigint,
               sum(buckets[7])::bigint, sum(buckets[8])::bigint, sum(buckets[9])::bigint,
               sum(buckets[10])::bigint, sum(buckets[11])::bigint, sum(buckets[12])::bigint,
               sum(buckets[13])::bigint, sum(buckets[14])::bigint, sum(buckets[15])::bigint,
               sum(buckets[16])::bigint, sum(buckets[17])::bigint] END AS buckets
FROM chosen LEFT JOIN most USING (name)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
