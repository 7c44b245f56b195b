-- Quotas: the buckets of tenants, what they hold, and their own limits.

-- name: draw
-- Grant tasks to one API process. The row is locked, so two never get the same tokens.
UPDATE tenant_usage SET
    tokens = coalesce(bucket.tokens - bucket.granted, tenant_usage.tokens), filled_at = bucket.at,
    drawn = drawn + bucket.granted, drawn_bytes = drawn_bytes + %(bytes)s
FROM (
    SELECT *, greatest(0, CASE WHEN stored_room <= 0 THEN 0 ELSE floor(least(
            %(wanted)s, tokens, queued_room, in_flight_room)) END)::bigint AS granted
    FROM (
        SELECT tenant, greatest(filled_at, clock_timestamp()) AS at,
            least(%(count)s::double precision,
                  tokens + greatest(0, extract(epoch FROM clock_timestamp() - filled_at))
                      * %(count)s / %(seconds)s::double precision) AS tokens,
            %(queued)s::bigint - queued - drawn AS queued_room,
            %(in_flight)s::bigint - in_flight - drawn AS in_flight_room,
            %(stored)s::bigint - stored - drawn_bytes - %(bytes)s::bigint AS stored_room
        FROM tenant_usage WHERE tenant = %(tenant)s FOR UPDATE) AS locked
) AS bucket
WHERE tenant_usage.tenant = bucket.tenant
  -- What is drawn and lost with a crash is drawn anew.
  AND set_config('synchronous_commit', 'off', true) > ''
RETURNING granted,
          CASE WHEN %(count)s::double precision IS NOT NULL THEN tenant_usage.tokens END,
          in_flight_room - granted, queued_room - granted, stored_room;

-- name: reserve
-- Take room for tasks that no submission makes: up to so many, at least the first few, else none.
-- They cost no tokens.
UPDATE tenant_usage SET
    drawn = drawn + room.granted,
    drawn_bytes = drawn_bytes + %(bytes)s::bigint * room.granted / %(wanted)s::bigint
FROM (
    SELECT *, CASE WHEN stored_room <= 0 OR least(queued_room, in_flight_room) < %(at_least)s THEN 0
              ELSE least(%(wanted)s::bigint, queued_room, in_flight_room) END AS granted
    FROM (
        SELECT tenant, %(queued)s::bigint - queued - drawn AS queued_room,
            %(in_flight)s::bigint - in_flight - drawn AS in_flight_room,
            %(stored)s::bigint - stored - drawn_bytes AS stored_room
        FROM tenant_usage WHERE tenant = %(tenant)s FOR UPDATE) AS locked
) AS room
WHERE tenant_usage.tenant = room.tenant
  AND set_config('synchronous_commit', 'off', true) > ''
RETURNING granted, in_flight_room - granted, queued_room - granted, stored_room;

-- name: open_bucket
-- A tenant that has limits and draws for the first time: its bucket is full.
INSERT INTO tenant_usage (tenant, tokens) VALUES (%(tenant)s, coalesce(%(count)s, 0))
ON CONFLICT DO NOTHING;

-- name: count_usage
-- Count what tenants have that has not ended: those named, else all that have a bucket. Each state
-- is counted through its own index; what has ended, which is most, is not read.
UPDATE tenant_usage SET
    in_flight = counted.in_flight, queued = counted.queued, drawn = 0, counted_at = now()
FROM (
    SELECT tenant_usage.tenant, coalesce(sum(unended.tasks), 0) AS in_flight,
           coalesce(sum(unended.tasks) FILTER (WHERE NOT unended.runs), 0) AS queued
    FROM tenant_usage LEFT JOIN (
        SELECT tenant, false AS runs, count(*) AS tasks FROM tasks
        WHERE state = 'pending' GROUP BY tenant
        UNION ALL
        SELECT tenant, false, count(*) FROM tasks WHERE state = 'queued' GROUP BY tenant
        UNION ALL
        SELECT tenant, false, count(*) FROM tasks
        WHERE state IN ('scheduled', 'retrying') GROUP BY tenant
        UNION ALL
        SELECT tenant, true, count(*) FROM tasks WHERE state = 'running' GROUP BY tenant
    ) AS unended USING (tenant)
    WHERE %(tenants)s::text[] IS NULL OR tenant_usage.tenant = ANY (%(tenants)s)
    GROUP BY tenant_usage.tenant
) AS counted
WHERE tenant_usage.tenant = counted.tenant
RETURNING tenant_usage.tenant;

-- name: weigh_usage
-- How many bytes the tasks of a tenant take up, ended ones as well: reads all of them.
UPDATE tenant_usage SET stored = weighed.bytes, drawn_bytes = 0, weighed_at = now()
FROM (SELECT coalesce(sum(pg_column_size(args) + coalesce(pg_column_size(result), 0)
                          + coalesce(pg_column_size(error), 0)), 0) AS bytes
      FROM tasks WHERE tenant = %(tenant)s) AS weighed
WHERE tenant_usage.tenant = %(tenant)s;

-- name: list_buckets
-- The tenants whose tasks are counted, with their own limits.
SELECT tenant_usage.tenant, coalesce(tenants.limits, '{}') AS limits
FROM tenant_usage LEFT JOIN tenants ON tenants.name = tenant_usage.tenant
ORDER BY tenant_usage.tenant;

-- name: close_bucket
-- The tenant has no limits any more.
DELETE FROM tenant_usage WHERE tenant = %(tenant)s;

-- name: list_limits
-- Tenants with limits of their own.
SELECT name, limits FROM tenants WHERE limits <> '{}';

-- name: list_tenants
-- All tenants, with what they hold as far as that is counted.
SELECT tenants.name, weight, limits, created_at, in_flight + drawn AS in_flight,
       queued + drawn AS queued, stored + drawn_bytes AS stored, counted_at
FROM tenants LEFT JOIN tenant_usage ON tenant_usage.tenant = tenants.name
WHERE %(name)s::text IS NULL OR tenants.name = %(name)s
ORDER BY tenants.name;

-- name: set_tenant
-- Change a tenant, or make it: limits that are named replace its own, those of `without` are those of
-- everybody again.
INSERT INTO tenants (name, weight, limits)
VALUES (%(name)s, coalesce(%(weight)s, 1), %(limits)s::jsonb)
ON CONFLICT (name) DO UPDATE SET
    weight = coalesce(%(weight)s, tenants.weight),
    limits = (tenants.limits || %(limits)s::jsonb) - %(without)s::text[];
