-- What is done to many tasks at once. Which ones is decided once, in front of the wall of the tenant
-- (task_search.py says why); what is done to them is done behind it, some at a time.

-- name: select_tasks
-- Up to a bound of those that match and are in one of some states, the oldest first, and when that
-- was. To be planned with its values, each time.
SELECT id, state, now() AS looked_at FROM tasks
WHERE tenant = %(tenant)s AND state = ANY (%(states)s)
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND (%(other_than)s::smallint IS NULL OR priority <> %(other_than)s)
  AND (%(first)s::uuid IS NULL OR id >= %(first)s)
  AND (%(last)s::uuid IS NULL OR id <= %(last)s)
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
  AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
  AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
ORDER BY id
LIMIT %(limit)s;

-- name: select_by_error
-- The same of those whose error has all these words, the last or its beginning: found by their words
-- first, and put in order then.
WITH matching AS MATERIALIZED (
    SELECT id, state FROM tasks
    WHERE tenant = %(tenant)s AND state = ANY (%(states)s) AND error IS NOT NULL
      AND error_words(error) @@ to_tsquery('pg_catalog.simple', %(error)s)
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND (%(other_than)s::smallint IS NULL OR priority <> %(other_than)s)
      AND (%(first)s::uuid IS NULL OR id >= %(first)s)
      AND (%(last)s::uuid IS NULL OR id <= %(last)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
      AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
)
SELECT id, state, now() AS looked_at FROM matching
ORDER BY id
LIMIT %(limit)s;

-- name: cancel_these
-- Cancel those that have not started and ask those that run to stop; how many of each. They are locked
-- in the order of their ids, so that no two of these wait for each other.
WITH locked AS MATERIALIZED (
    SELECT id, state FROM tasks
    WHERE id = ANY (%(ids)s) AND tenant = %(tenant)s
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND state IN ('scheduled', 'pending', 'queued', 'retrying', 'running')
    ORDER BY id
    FOR UPDATE
), prevented AS (
    UPDATE tasks SET state = 'cancelled', reason = %(reason)s, finished_at = now()
    FROM locked WHERE tasks.id = locked.id AND locked.state <> 'running'
    RETURNING tasks.id
), interrupted AS (
    UPDATE tasks SET cancel_requested_at = coalesce(cancel_requested_at, now())
    FROM locked WHERE tasks.id = locked.id AND locked.state = 'running'
    RETURNING pg_notify('taskyard_stop', tasks.id::text)
)
SELECT (SELECT count(*) FROM prevented) AS prevented,
       (SELECT count(*) FROM interrupted) AS interrupted;

-- name: reprioritise_these
-- Give those that wait another priority; what a wake-up of each needs, in case the broker holds one.
UPDATE tasks SET priority = %(priority)s::smallint,
                 boost = least(boost, 9 - %(priority)s::smallint)
FROM (
    SELECT id FROM tasks
    WHERE id = ANY (%(ids)s) AND tenant = %(tenant)s
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND state IN ('scheduled', 'pending', 'queued', 'retrying')
      AND priority <> %(priority)s::smallint
    ORDER BY id
    FOR UPDATE
) AS locked
WHERE tasks.id = locked.id
RETURNING tasks.id, tasks.type, tasks.attempt, tasks.state;

-- name: look_at_these
-- Those that may be replayed, the oldest first, with what must be looked at before.
SELECT id, tenant, type, args, priority, generation
FROM tasks
WHERE id = ANY (%(ids)s) AND tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND state IN ('failed', 'expired', 'quarantined', 'cancelled')
ORDER BY id;
