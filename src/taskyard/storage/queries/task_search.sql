-- The search for tasks. It finds ids; what is shown of them is read behind the wall of the tenant.

-- name: find_tasks
-- What matches, newest first: UUIDv7 ids are in the order of their making. To be planned with its
-- values, each time: what is not asked for then falls away, and the indexes for the rest are seen.
SELECT id, state FROM tasks
WHERE tenant = %(tenant)s
  AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
  AND (%(before)s::uuid IS NULL OR id < %(before)s)
  AND (%(first)s::uuid IS NULL OR id >= %(first)s)
  AND (%(last)s::uuid IS NULL OR id <= %(last)s)
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
  AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
  AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: pools
-- The pools that a tenant has tasks in, of a type if one is given: from one to the next by the index,
-- however many tasks each has.
WITH RECURSIVE pools AS (
    (SELECT pool FROM tasks WHERE tenant = %(tenant)s ORDER BY pool LIMIT 1)
    UNION ALL
    SELECT next.pool FROM pools CROSS JOIN LATERAL (
        SELECT pool FROM tasks WHERE tenant = %(tenant)s AND pool > pools.pool
        ORDER BY pool LIMIT 1) AS next
)
SELECT pool FROM pools
WHERE (%(pool)s::text IS NULL OR pool = %(pool)s)
  AND (%(type)s::text IS NULL OR EXISTS (
       SELECT FROM tasks WHERE tenant = %(tenant)s AND tasks.pool = pools.pool AND type = %(type)s));

-- name: kinds
-- The task types that a tenant has tasks of in some pools, found likewise.
WITH RECURSIVE kinds AS (
    SELECT given.pool, first.type
    FROM unnest(%(pools)s::text[]) AS given (pool) CROSS JOIN LATERAL (
        SELECT type FROM tasks WHERE tenant = %(tenant)s AND tasks.pool = given.pool
        ORDER BY type LIMIT 1) AS first
    UNION ALL
    SELECT kinds.pool, next.type FROM kinds CROSS JOIN LATERAL (
        SELECT type FROM tasks
        WHERE tenant = %(tenant)s AND tasks.pool = kinds.pool AND type > kinds.type
        ORDER BY type LIMIT 1) AS next
)
SELECT pool, type FROM kinds
WHERE %(types)s::text IS NULL OR type || '.' ~ %(types)s
LIMIT %(most)s;

-- name: find_of_kinds
-- Find tasks of these kinds: the newest of each, and of all those the newest.
SELECT newest.id, newest.state
FROM unnest(%(pools)s::text[], %(of_types)s::text[]) AS kind (pool, type)
CROSS JOIN LATERAL (
    SELECT id, state FROM tasks
    WHERE tenant = %(tenant)s AND tasks.pool = kind.pool AND tasks.type = kind.type
      AND (%(before)s::uuid IS NULL OR id < %(before)s)
      AND (%(first)s::uuid IS NULL OR id >= %(first)s)
      AND (%(last)s::uuid IS NULL OR id <= %(last)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
      AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
    ORDER BY id DESC LIMIT %(limit)s
) AS newest
ORDER BY newest.id DESC
LIMIT %(limit)s;

-- name: find_by_error
-- The same of those whose error has all these words, the last or its beginning, as long as few have:
-- `looked` tells how many, up to a bound. They are found by their words first and put in order then.
WITH matching AS MATERIALIZED (
    SELECT id, state FROM tasks
    WHERE tenant = %(tenant)s AND error IS NOT NULL
      AND error_words(error) @@ to_tsquery('pg_catalog.simple', %(error)s)
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND (%(before)s::uuid IS NULL OR id < %(before)s)
      AND (%(first)s::uuid IS NULL OR id >= %(first)s)
      AND (%(last)s::uuid IS NULL OR id <= %(last)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
      AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
    LIMIT %(few)s
)
SELECT id, state, (SELECT count(*) FROM matching) AS looked FROM matching
ORDER BY id DESC
LIMIT %(limit)s;

-- name: find_newest_by_error
-- The same where many have them: the newest errors are read until enough are found.
SELECT id, state FROM (
    SELECT id, state, error FROM tasks
    WHERE tenant = %(tenant)s AND error IS NOT NULL
      AND (%(types)s::text IS NULL OR type || '.' ~ %(types)s)
      AND (%(before)s::uuid IS NULL OR id < %(before)s)
      AND (%(first)s::uuid IS NULL OR id >= %(first)s)
      AND (%(last)s::uuid IS NULL OR id <= %(last)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(pool)s::text IS NULL OR pool = %(pool)s)
      AND (%(labels)s::jsonb IS NULL OR labels @> %(labels)s AND labels <> '{}')
      AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
    ORDER BY id DESC OFFSET 0
) AS erred
WHERE error_words(error) @@ to_tsquery('pg_catalog.simple', %(error)s)
LIMIT %(limit)s;

-- name: list_found
-- What a list shows of these, newest first: no arguments, no result, no traceback.
SELECT id, tenant, type, pool, priority, state, reason, error, attempt, max_attempts, generation,
       progress, labels, worker, created_at, due_at, started_at, finished_at
FROM tasks
WHERE id = ANY (%(ids)s) AND tenant = %(tenant)s
ORDER BY id DESC;
