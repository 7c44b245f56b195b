-- The windows of the pools: what the broker holds of each, and who comes next.

-- name: waiting_pools
-- The pools in which something waits to be published, found one after the other by index; but for
-- those that are paused.
WITH RECURSIVE waiting AS (
    (SELECT pool FROM tasks WHERE state = 'pending' ORDER BY pool LIMIT 1)
    UNION ALL
    SELECT (SELECT tasks.pool FROM tasks
            WHERE state = 'pending' AND tasks.pool > waiting.pool ORDER BY tasks.pool LIMIT 1)
    FROM waiting WHERE waiting.pool IS NOT NULL
)
SELECT pool FROM waiting
WHERE pool IS NOT NULL AND NOT EXISTS (SELECT FROM pool_pauses WHERE pool = waiting.pool);

-- name: know_window
-- A row for a pool.
INSERT INTO pool_windows (pool, size) VALUES (%(pool)s, %(size)s) ON CONFLICT DO NOTHING;

-- name: take_window
-- Keep a pool's window for this round; no row while another dispatcher has it. What the broker holds
-- are the tasks it has confirmed and nobody has claimed.
SELECT consumers, size, filled, rate, virtual_time,
       extract(epoch FROM now() - looked_at)::double precision AS seconds,
       (SELECT count(*) FROM (
            SELECT FROM tasks WHERE state = 'queued' AND tasks.pool = pool_windows.pool
            ORDER BY queued_at LIMIT %(most)s) AS queued) AS queued
FROM pool_windows WHERE pool = %(pool)s
FOR UPDATE SKIP LOCKED;

-- name: read_lines
-- The heads of the lines in which a pool's tasks wait, one line for each tenant and level, with what
-- each tenant had so far, and what a turn of each task costs: its type's run time, 1 on average.
-- Lines are found by index, one from the other, and of each so much is read
-- that all together have twice the room: a round costs what the window holds, not what waits.
-- A line is a range of the index, not a match of each column: of those Postgres believes that a line
-- has few hundred tasks, however many it has, and reads and sorts all of it.
WITH RECURSIVE found AS (
    (SELECT tenant, priority + boost AS level FROM tasks
     WHERE state = 'pending' AND pool = %(pool)s
       AND (tenant, priority + boost) > (%(after)s, 9::smallint)
     ORDER BY tenant, priority + boost LIMIT 1)
    UNION ALL
    SELECT following.* FROM found CROSS JOIN LATERAL (
        SELECT tasks.tenant, priority + boost AS level FROM tasks
        WHERE state = 'pending' AND pool = %(pool)s
          AND (tasks.tenant, priority + boost) > (found.tenant, found.level)
        ORDER BY tasks.tenant, priority + boost LIMIT 1) AS following
), lines AS MATERIALIZED (
    SELECT * FROM found LIMIT %(lines)s
), each AS MATERIALIZED (
    SELECT greatest(2, ceil(2.0 * %(room)s / greatest(1, count(*))))::bigint AS rows FROM lines
)
SELECT lines.tenant, lines.level, coalesce(tenants.weight, 1)::double precision, shares.spent,
       extract(epoch FROM now() - shares.served_at)::double precision,
       (SELECT rows FROM each), head.*
FROM lines
LEFT JOIN tenants ON tenants.name = lines.tenant
JOIN pool_windows AS windows ON windows.pool = %(pool)s
LEFT JOIN tenant_shares AS shares ON shares.pool = %(pool)s AND shares.tenant = lines.tenant
LEFT JOIN LATERAL (
    SELECT id, tasks.type, attempt, extract(epoch FROM now() - due_at)::double precision,
           coalesce(run_times.mean / nullif(windows.run_mean, 0), 1), traceparent, tracestate
    FROM tasks
    LEFT JOIN run_times ON run_times.pool = tasks.pool AND run_times.type = tasks.type
    WHERE state = 'pending'
      AND (tasks.pool, tasks.tenant, priority + boost) >= (%(pool)s, lines.tenant, lines.level)
      AND (tasks.pool, tasks.tenant, priority + boost, publish_at)
          <= (%(pool)s, lines.tenant, lines.level, now())
    ORDER BY tasks.pool, tasks.tenant, priority + boost, publish_at
    LIMIT (SELECT rows FROM each)) AS head ON true;

-- name: keep_window
-- End a round: what the broker holds now, and how fast it is claimed.
UPDATE pool_windows SET size = %(size)s, filled = %(filled)s, rate = %(rate)s,
                        virtual_time = %(virtual_time)s, looked_at = now()
WHERE pool = %(pool)s AND set_config('synchronous_commit', 'off', true) > '';

-- name: keep_shares
-- What tenants have had after a round.
INSERT INTO tenant_shares (pool, tenant, spent, served_at)
SELECT %(pool)s, tenant, spent, now()
FROM unnest(%(tenants)s::text[], %(spent)s::double precision[]) AS given (tenant, spent)
ON CONFLICT (pool, tenant) DO UPDATE SET spent = excluded.spent, served_at = excluded.served_at;

-- name: forget_shares
-- Tenants that have had nothing for a while begin anew, as all others are.
DELETE FROM tenant_shares WHERE served_at < now() - interval '1 hour';

-- name: read_rooms
-- How many wake-ups more the broker may hold of each pool beside those that wait to be published; -1
-- when these have to wait for room, or the pool is paused. A pool that no dispatcher has looked at yet is given a small
-- window. An order is asked for so that the index is used, whatever the statistics of an hour ago say;
-- and line by line, as a million that a replay spreads over a day are pending, but not due.
SELECT pool, CASE WHEN waiting.count > greatest(0, left_over) OR pool_pauses.since IS NOT NULL
                  THEN -1
             ELSE greatest(0, left_over - waiting.count) END::integer AS room
FROM unnest(%(pools)s::text[]) AS asked (pool)
LEFT JOIN pool_windows USING (pool)
LEFT JOIN pool_pauses USING (pool)
CROSS JOIN LATERAL (
    SELECT coalesce(size, %(unknown)s) - count(*) AS left_over FROM (
        SELECT FROM tasks WHERE state = 'queued' AND tasks.pool = asked.pool
        ORDER BY queued_at LIMIT coalesce(size, %(unknown)s)) AS queued) AS held
CROSS JOIN LATERAL (
    WITH RECURSIVE found AS (
        (SELECT tenant, priority + boost AS level FROM tasks
         WHERE state = 'pending' AND tasks.pool = asked.pool
         ORDER BY tenant, priority + boost LIMIT 1)
        UNION ALL
        SELECT following.* FROM found CROSS JOIN LATERAL (
            SELECT tasks.tenant, priority + boost AS level FROM tasks
            WHERE state = 'pending' AND tasks.pool = asked.pool
              AND (tasks.tenant, priority + boost) > (found.tenant, found.level)
            ORDER BY tasks.tenant, priority + boost LIMIT 1) AS following
    )
    SELECT count(*) FROM (
        SELECT FROM (SELECT * FROM found LIMIT %(lines)s) AS line
        CROSS JOIN LATERAL (
            SELECT FROM tasks
            WHERE state = 'pending'
              AND (tasks.pool, tasks.tenant, priority + boost)
                  >= (asked.pool, line.tenant, line.level)
              AND (tasks.pool, tasks.tenant, priority + boost, publish_at)
                  <= (asked.pool, line.tenant, line.level, now())
            ORDER BY tasks.pool, tasks.tenant, priority + boost, publish_at
            LIMIT greatest(0, left_over) + 1) AS due
        LIMIT greatest(0, left_over) + 1) AS pending) AS waiting;

-- name: count_consumers
-- Remember how many workers a pool has, and the window that goes with it.
INSERT INTO pool_windows (pool, consumers, size) VALUES (%(pool)s, %(consumers)s, %(size)s)
ON CONFLICT (pool) DO UPDATE SET consumers = excluded.consumers, size = excluded.size
WHERE pool_windows.consumers <> excluded.consumers;
