-- The statements on idempotency keys. They are written by insert_keyed_tasks in tasks.sql.

-- name: find_keys
-- What these keys were first used for, and the reply.
SELECT tenant, key, request_hash, task_id, pool, priority, state, created_at, due_at
FROM idempotency_keys
WHERE (tenant, key) IN (SELECT * FROM unnest(%(tenants)s::text[], %(keys)s::text[]));

-- name: forget_keys
-- Delete keys that have expired, the oldest first.
DELETE FROM idempotency_keys
WHERE (tenant, key) IN (
    SELECT tenant, key FROM idempotency_keys
    WHERE expires_at <= now()
    ORDER BY expires_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED);
