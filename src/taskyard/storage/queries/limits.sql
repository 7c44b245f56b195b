-- Limits: permits are taken under the lock of the limit's row. Times are those of the clock, not of
-- the transaction: it may have waited for the lock.

-- name: lock_limits
-- Lock limits, always in the same order, and read how each stands.
SELECT name, share,
       extract(epoch FROM clock_timestamp() - shrunk_at)::double precision AS shrunk_ago,
       greatest(0, extract(epoch FROM paused_until - clock_timestamp()))::double precision
           AS paused_for
FROM limits WHERE name = ANY (%(names)s) ORDER BY name FOR UPDATE;

-- name: make_limits
-- A limit that is met for the first time gets a row.
INSERT INTO limits (name) SELECT unnest(%(names)s::text[]) ON CONFLICT DO NOTHING;

-- name: read_usage
-- What is in use of limits that are locked, for one task or, without one, for the line. Permits
-- whose lease is gone and starts that have passed are removed on the way.
--
-- Tasks are looked up one by one: these tables are small, and so young that the planner knows
-- nothing of them. As a join it would read all tasks.
WITH given AS (
    SELECT * FROM unnest(%(names)s::text[], %(most)s::integer[], %(periods)s::double precision[])
        AS each (name, most, seconds)
), gone AS (
    DELETE FROM permits
    WHERE name = ANY (%(names)s) AND token IS DISTINCT FROM (
        SELECT lease_token FROM tasks WHERE tasks.id = permits.task_id)
), past AS (
    DELETE FROM starts USING given
    WHERE starts.name = given.name
      AND starts.at <= clock_timestamp() - given.seconds * interval '1 second'
)
SELECT given.name,
    (SELECT count(*) FROM permits
     WHERE permits.name = given.name
       AND token = (SELECT lease_token FROM tasks WHERE tasks.id = permits.task_id)) AS running,
    (SELECT count(*) FROM reservations
     WHERE given.name = ANY (names) AND until > clock_timestamp()
       AND (SELECT state FROM tasks WHERE tasks.id = reservations.task_id)
           IN ('pending', 'queued')) AS reserved,
    (SELECT count(*) FROM (
        SELECT FROM starts
        WHERE starts.name = given.name
          AND starts.at > clock_timestamp() - given.seconds * interval '1 second'
        LIMIT given.most) AS counted) AS started,
    (SELECT extract(epoch FROM at - clock_timestamp())::double precision + given.seconds
     FROM starts WHERE starts.name = given.name
     ORDER BY at DESC OFFSET greatest(given.most, 1) - 1 LIMIT 1) AS opens_in,
    EXISTS (SELECT FROM tasks
            WHERE waits_for = given.name AND state = 'scheduled' AND id <> %(task)s) AS has_line,
    EXISTS (SELECT FROM reservations
            WHERE task_id = %(task)s AND given.name = ANY (names)
              AND until > clock_timestamp()) AS is_reserved
FROM given;

-- name: keep_permits
-- The attempt has begun: it holds its permits, and what was reserved for it is used.
WITH held AS (
    INSERT INTO permits (name, token, task_id)
    SELECT unnest(%(held)s::text[]), %(token)s, %(task)s
    ON CONFLICT DO NOTHING
), begun AS (
    INSERT INTO starts (name, at) SELECT unnest(%(begun)s::text[]), clock_timestamp()
)
DELETE FROM reservations WHERE task_id = %(task)s;

-- name: defer
-- There is no room: the task goes into the line, without an attempt. The dispatcher releases it from
-- there; its new due time is a net below that, spaced so that a long line is no flood.
--
-- While it is pending, the mark that the broker confirmed its wake-up is on its way, and must not
-- hit it once it is pending again: it is left in the line for a moment.
WITH promised AS (
    UPDATE limits SET promised_until = interval '100 milliseconds'
        + greatest(promised_until, clock_timestamp() + %(wait)s * interval '1 second')
    WHERE name = %(name)s
    RETURNING promised_until
), forgotten AS (
    DELETE FROM reservations WHERE task_id = %(task)s
)
UPDATE tasks SET
    state = 'scheduled', waits_for = %(name)s, reason = %(reason)s,
    due_at = (SELECT promised_until FROM promised),
    publish_at = clock_timestamp()
        + CASE WHEN state = 'pending' THEN interval '2 seconds' ELSE interval '0' END
WHERE id = %(task)s AND type = %(type)s AND state IN ('pending', 'queued') AND due_at <= now()
  AND set_config('synchronous_commit', 'off', true) > ''
RETURNING id;

-- name: list_waiters
-- The first of each tenant in each line, the most urgent and oldest of its tasks first, with the turn
-- of the tenant there. A loose index scan: however long a line is, it costs what is returned.
WITH RECURSIVE whose AS (
    (SELECT waits_for, tenant FROM tasks
     WHERE waits_for IS NOT NULL AND state = 'scheduled'
     ORDER BY waits_for, tenant LIMIT 1)
    UNION ALL
    SELECT following.waits_for, following.tenant
    FROM whose CROSS JOIN LATERAL (
        SELECT waits_for, tenant FROM tasks
        WHERE (waits_for, tenant) > (whose.waits_for, whose.tenant)
          AND waits_for IS NOT NULL AND state = 'scheduled'
        ORDER BY waits_for, tenant LIMIT 1) AS following
)
SELECT first.id, first.type, whose.tenant, first.priority, whose.waits_for,
       coalesce(line_turns.spent, 0), coalesce(tenants.weight, 1)::double precision,
       coalesce(limits.virtual_time, 0)
FROM whose
CROSS JOIN LATERAL (
    SELECT id, type, priority, row_number() OVER (ORDER BY priority DESC, id) AS place
    FROM tasks
    WHERE waits_for = whose.waits_for AND tenant = whose.tenant AND state = 'scheduled'
      AND publish_at <= now()
    ORDER BY priority DESC, id LIMIT %(of_each)s) AS first
LEFT JOIN line_turns ON line_turns.name = whose.waits_for AND line_turns.tenant = whose.tenant
LEFT JOIN limits ON limits.name = whose.waits_for
LEFT JOIN tenants ON tenants.name = whose.tenant
ORDER BY first.place, first.id LIMIT %(limit)s;

-- name: keep_turns
-- What those tenants have had now whose tasks were released, and the virtual time of their lines.
WITH passed AS (
    UPDATE limits SET virtual_time = greatest(virtual_time, line.now)
    FROM unnest(%(lines)s::text[], %(nows)s::double precision[]) AS line (name, now)
    WHERE limits.name = line.name
)
INSERT INTO line_turns (name, tenant, spent)
SELECT * FROM unnest(%(names)s::text[], %(tenants)s::text[], %(spent)s::double precision[])
ON CONFLICT (name, tenant) DO UPDATE SET spent = excluded.spent;

-- name: release_waiters
-- There is room for these: they are due now, and the room is theirs for a while. They are published
-- as of when they were submitted: behind all that wait in their pool, the room would be kept in vain.
WITH released AS (
    UPDATE tasks SET state = 'pending', due_at = now(), publish_at = created_at, reason = NULL,
        waits_for = NULL
    WHERE id IN (SELECT id FROM tasks
                 WHERE id = ANY (%(ids)s) AND state = 'scheduled' AND waits_for IS NOT NULL
                 ORDER BY id FOR UPDATE SKIP LOCKED)
    RETURNING id
), reserved AS (
    INSERT INTO reservations (task_id, names, until)
    SELECT id, string_to_array(kept.names, ' '),
           clock_timestamp() + %(seconds)s * interval '1 second'
    FROM released
    JOIN unnest(%(ids)s::uuid[], %(names)s::text[]) AS kept (id, names) USING (id)
    WHERE kept.names <> ''
    ON CONFLICT (task_id) DO UPDATE SET names = excluded.names, until = excluded.until
)
SELECT count(*), pg_notify('taskyard_dispatch', '') FROM released HAVING count(*) > 0;

-- name: move_waiters
-- These wait for another limit than they did.
UPDATE tasks SET waits_for = moved.name, reason = moved.reason
FROM unnest(%(ids)s::uuid[], %(names)s::text[], %(reasons)s::text[]) AS moved (id, name, reason)
WHERE tasks.id = moved.id AND state = 'scheduled' AND waits_for IS NOT NULL;

-- name: forget_reservations
-- Room that was kept for nothing, and turns that give no claim any more.
WITH passed AS (
    DELETE FROM line_turns USING limits
    WHERE limits.name = line_turns.name AND spent <= virtual_time
)
DELETE FROM reservations WHERE until < clock_timestamp() - interval '1 minute';

-- name: tell_freed
-- An attempt that held permits has ended: somebody may be released.
SELECT pg_notify('taskyard_limits', '');

-- name: shrink
-- A task was throttled: the share is cut down, unless this attempt began before it was the last
-- time. Whoever is in flight then speaks of the old share.
UPDATE limits SET
    reports = reports + 1, reported_at = clock_timestamp(),
    share = CASE WHEN fresh.says THEN %(share)s ELSE share END,
    shrunk_at = CASE WHEN fresh.says THEN clock_timestamp() ELSE shrunk_at END,
    paused_until = greatest(paused_until,
                            clock_timestamp() + %(pause)s * interval '1 second')
FROM (SELECT coalesce(tasks.started_at > limits.shrunk_at, true) AS says
      FROM limits LEFT JOIN tasks ON tasks.id = %(task)s
      WHERE limits.name = %(name)s) AS fresh
WHERE limits.name = %(name)s;

-- name: survey_limits
-- How limits stand and what is in use of them, for whoever looks; nothing is locked.
SELECT limits.name, share,
    extract(epoch FROM clock_timestamp() - shrunk_at)::double precision AS shrunk_ago,
    greatest(0, extract(epoch FROM paused_until - clock_timestamp()))::double precision
        AS paused_for,
    reports, reported_at,
    (SELECT count(*) FROM permits
     WHERE permits.name = limits.name
       AND token = (SELECT lease_token FROM tasks WHERE tasks.id = permits.task_id)) AS running,
    (SELECT count(*) FROM starts
     WHERE starts.name = limits.name
       AND starts.at > clock_timestamp() - given.seconds * interval '1 second') AS started,
    (SELECT count(*) FROM (
        SELECT FROM tasks WHERE waits_for = limits.name AND state = 'scheduled'
        LIMIT 10000) AS counted) AS waiting
FROM unnest(%(names)s::text[], %(periods)s::double precision[]) AS given (name, seconds)
JOIN limits USING (name);
