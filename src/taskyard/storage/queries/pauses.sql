-- Pools that are paused.

-- name: pause
-- Pause a pool. No row: it was paused already, and stays so for the reason it was.
INSERT INTO pool_pauses (pool, reason) VALUES (%(pool)s, %(reason)s)
ON CONFLICT (pool) DO NOTHING
RETURNING pool;

-- name: resume
-- Resume a pool, and wake the dispatcher. No row: it was not paused.
DELETE FROM pool_pauses WHERE pool = %(pool)s
RETURNING pool, pg_notify('taskyard_dispatch', '');

-- name: read_pauses
-- The pools that are paused.
SELECT pool, since, reason FROM pool_pauses;
