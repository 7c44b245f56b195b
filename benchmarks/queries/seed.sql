-- A table of tasks as a yard has it after some days. Everything follows from a task's number, by
-- MD5: the same numbers and the same `until` make the same rows.

-- name: seed_tenants
-- Whose the tasks are, beside the tenant that is always there.
INSERT INTO tenants (name, weight) VALUES ('north', 1), ('south', 2) ON CONFLICT DO NOTHING;

-- name: seed_tasks
-- The tasks numbered `low` to `high` of so many, the oldest first. The youngest `open` of them have
-- not ended; where `only` is given, all are in that state.
INSERT INTO tasks (
    id, tenant, type, pool, priority, state, reason, attempt, max_attempts, event_seq,
    error_count, crash_count, created_at, due_at, publish_at, queued_at, started_at, finished_at,
    lease_token, lease_expires_at, worker, labels, args, result, error)
SELECT id, (ARRAY['default', 'north', 'south'])[1 + dice[2] %% 3], kind.type, kind.pool,
       CASE WHEN dice[3] < 40000 THEN 4 ELSE dice[3] %% 10 END, life.state,
       CASE life.state WHEN 'expired' THEN 'not started in time'
                       WHEN 'cancelled' THEN 'cancelled by its owner' END,
       life.attempts, 3, life.events,
       CASE WHEN life.state IN ('failed', 'retrying') THEN life.attempts ELSE 0 END,
       CASE WHEN life.state = 'quarantined' THEN life.attempts ELSE 0 END,
       at,
       CASE WHEN life.state IN ('scheduled', 'retrying')
            THEN %(until)s + (1 + dice[4] %% 86400) * interval '1 second' ELSE at END,
       at,
       CASE WHEN life.state = 'queued' OR life.attempts > 0 THEN at + interval '20 ms' END,
       CASE WHEN life.attempts > 0 THEN at + waited END,
       CASE WHEN life.ended THEN at + waited + ran END,
       CASE WHEN life.state = 'running' THEN id END,
       CASE WHEN life.state = 'running' THEN %(until)s + interval '15 seconds' END,
       CASE WHEN life.attempts > 0 THEN kind.pool || '-' || dice[4] %% 4 || '@yard' END,
       jsonb_build_object('team', 'team-' || dice[5] %% 20, 'order', 'order-' || n),
       jsonb_build_object('source', 'inputs/' || digest || '.png', 'width', dice[6] %% 4096),
       CASE WHEN life.state = 'succeeded'
            THEN jsonb_build_object('file', 'outputs/' || digest || '.png', 'bytes', dice[6] * 64)
       END,
       CASE WHEN life.state IN ('failed', 'quarantined', 'retrying')
            THEN pg_temp.seeded_error(life.state, dice) END
FROM generate_series(%(low)s::integer, %(high)s::integer) AS n
CROSS JOIN LATERAL (
    SELECT digest, ARRAY(SELECT ('x' || substr(digest, 1 + 4 * part, 4))::bit(16)::integer
                         FROM generate_series(0, 7) AS part) AS dice
    FROM (SELECT md5('taskyard ' || n) AS digest) AS made) AS chance
CROSS JOIN LATERAL (
    SELECT %(until)s - (%(tasks)s - n + 1) * %(span)s::interval / %(tasks)s AS at,
           (20 + dice[7] %% 400) * interval '1 ms' AS waited,
           (5 + dice[8] %% 2000) * interval '1 ms' AS ran) AS times
CROSS JOIN LATERAL (
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || '7' || substr(digest, 1, 3) || '8' || substr(digest, 4, 15))::uuid AS id) AS named
CROSS JOIN LATERAL (
    SELECT (ARRAY['image.thumbnail', 'image.convert', 'report.render', 'table.summarize'])[which]
               AS type,
           (ARRAY['media', 'media', 'documents', 'analysis'])[which] AS pool
    FROM (SELECT 1 + dice[1] %% 4 AS which) AS picked) AS kind
JOIN seeded_lives AS life ON life.state = coalesce(%(only)s, CASE
    WHEN n > %(tasks)s - %(open)s THEN CASE
        WHEN dice[1] < 52000 THEN 'pending' WHEN dice[1] < 62000 THEN 'scheduled'
        WHEN dice[1] < 64500 THEN 'retrying' WHEN dice[1] < 65200 THEN 'queued'
        ELSE 'running' END
    ELSE CASE
        WHEN dice[1] < 59000 THEN 'succeeded' WHEN dice[1] < 63000 THEN 'failed'
        WHEN dice[1] < 64500 THEN 'cancelled' WHEN dice[1] < 65100 THEN 'expired'
        ELSE 'quarantined' END
    END)
ORDER BY n;

-- name: seed_events
-- The history of the tasks made from an id on, up to another: as many events as each one says.
INSERT INTO task_events (task_id, tenant, seq, at, state, attempt, worker, reason, error)
SELECT tasks.id, tasks.tenant, event.seq,
       CASE WHEN event.seq = 1 THEN created_at
            WHEN event.seq = event_seq THEN coalesce(finished_at, started_at, queued_at, created_at)
            ELSE created_at + (coalesce(started_at, created_at) - created_at)
                              * event.seq / event_seq END,
       event.state, (event.seq + 1) / 4,
       CASE WHEN event.state NOT IN ('pending', 'queued', 'scheduled', 'expired', 'cancelled')
            THEN worker END,
       CASE WHEN event.seq = event_seq THEN reason END,
       CASE WHEN event.state IN ('failed', 'quarantined', 'retrying') THEN error END
FROM tasks
JOIN seeded_lives AS life USING (state)
CROSS JOIN LATERAL (
    SELECT seq, CASE WHEN seq = life.events THEN life.state
                     ELSE (ARRAY['retrying', 'pending', 'queued', 'running'])[1 + seq %% 4]
                END AS state
    FROM generate_series(1, life.events) AS seq) AS event
WHERE tasks.id > %(after)s AND tasks.id <= %(last)s
ORDER BY tasks.id, event.seq;

-- name: seed_lives
-- How often a task in each state was tried, and how many events that made: each attempt is pending,
-- queued, running and how it ended.
CREATE TEMPORARY TABLE seeded_lives (state, attempts, events, ended) AS VALUES
    ('scheduled', 0, 1, false), ('pending', 0, 1, false), ('queued', 0, 2, false),
    ('running', 1, 3, false), ('retrying', 1, 4, false), ('succeeded', 1, 4, true),
    ('failed', 3, 12, true), ('quarantined', 3, 12, true), ('cancelled', 0, 2, true),
    ('expired', 0, 2, true);

-- name: seed_error
-- What went wrong, with values of its own in each message, so that folding them has work to do.
CREATE FUNCTION pg_temp.seeded_error(state text, dice integer[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN state = 'quarantined' THEN jsonb_build_object(
        'code', 'worker-lost', 'message', 'its worker process died')
    ELSE jsonb_build_object(
        'code', (ARRAY['ConnectionError', 'ValueError', 'TimeoutError', 'KeyError'])[
                    1 + dice[4] % 4],
        'message', format((ARRAY['connection to 10.0.0.%s refused, try %s',
                                 'cannot identify image file ''inputs/%s-%s.png''',
                                 'no answer from renderer %s within %s ms',
                                 'column ''c%s'' is missing in sheet %s'])[1 + dice[4] % 4],
                          dice[5] % 256, dice[6]))
    END
$$;
