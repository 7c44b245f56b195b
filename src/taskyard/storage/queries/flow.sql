-- What the page Yard shows beside the statistics.

-- name: events_lately
-- How many events came within the last seconds, and how many tasks were made of them; of more than a
-- bound the newest, so that it costs the same however many come. Keys are in the order of time.
WITH newest AS (
    SELECT received_at, jsonb_array_length(tasks) AS made FROM inbox_events
    ORDER BY key DESC LIMIT %(most)s
), lately AS (
    SELECT received_at, made FROM newest
    WHERE received_at > now() - %(seconds)s * interval '1 second'
)
SELECT count(*) / covered AS events, coalesce(sum(made), 0)::double precision / covered AS tasks
FROM lately CROSS JOIN LATERAL (
    SELECT greatest(0.1, CASE WHEN (SELECT count(*) FROM lately) < %(most)s THEN %(seconds)s
        ELSE extract(epoch FROM now() - (SELECT min(received_at) FROM lately)) END
        )::double precision AS covered) AS time
GROUP BY covered;

-- name: counts_lately
-- What was counted in this minute and the one before, and the seconds since that began.
SELECT pool, change, sum(count)::double precision AS count,
       extract(epoch FROM now() - date_trunc('minute', now() - interval '1 minute'))
           ::double precision AS seconds
FROM statistics
WHERE span = 1 AND at >= date_trunc('minute', now() - interval '1 minute')
GROUP BY pool, change;

-- name: hour_by_pool
-- What was counted in each pool within the last hour, and how long it took. Place by place, as arrays
-- that are added one to another take seven times as long (measured, 10,800 rows).
SELECT pool, change, sum(count)::bigint AS count, sum(seconds) AS seconds,
       CASE WHEN count(buckets) > 0 THEN ARRAY[
           sum(buckets[1])::bigint, sum(buckets[2])::bigint, sum(buckets[3])::bigint,
           sum(buckets[4])::bigint, sum(buckets[5])::bigint, sum(buckets[6])::bigint,
           sum(buckets[7])::bigint, sum(buckets[8])::bigint, sum(buckets[9])::bigint,
           sum(buckets[10])::bigint, sum(buckets[11])::bigint, sum(buckets[12])::bigint,
           sum(buckets[13])::bigint, sum(buckets[14])::bigint, sum(buckets[15])::bigint,
           sum(buckets[16])::bigint, sum(buckets[17])::bigint] END AS buckets
FROM statistics
WHERE span = 1 AND at > now() - interval '1 hour'
GROUP BY pool, change;
