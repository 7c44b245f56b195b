-- name: read_ledger
-- What `taskyard topology apply` did to a broker, or was about to do.
SELECT kind, name, source, pattern, pool, state FROM topology_ledger WHERE broker = %(broker)s;

-- name: remember
-- Write what is there now, and what is about to be made.
INSERT INTO topology_ledger (broker, kind, name, source, pattern, pool, state)
SELECT %(broker)s, kind, name, source, pattern, pool, state
FROM unnest(%(kinds)s::text[], %(names)s::text[], %(sources)s::text[], %(patterns)s::text[],
            %(pools)s::text[], %(states)s::text[])
    AS given (kind, name, source, pattern, pool, state)
ON CONFLICT (broker, kind, name, source, pattern) DO UPDATE
SET pool = excluded.pool, state = excluded.state, applied_at = now(), unbound_at = NULL
WHERE (topology_ledger.pool, topology_ledger.state)
      IS DISTINCT FROM (excluded.pool, excluded.state);

-- name: forget
-- Forget all but these.
DELETE FROM topology_ledger
WHERE broker = %(broker)s
  AND (kind, name, source, pattern) NOT IN (
      SELECT * FROM unnest(%(kinds)s::text[], %(names)s::text[], %(sources)s::text[],
                           %(patterns)s::text[]));

-- name: stamp_unbound
-- From now on no wake-up reaches a drained queue that has no binding left.
UPDATE topology_ledger AS drained SET unbound_at = now()
WHERE broker = %(broker)s AND kind = 'queue' AND state = 'draining' AND unbound_at IS NULL
  AND NOT EXISTS (SELECT FROM topology_ledger AS bound
                  WHERE bound.broker = drained.broker AND bound.kind = 'binding'
                    AND bound.name = drained.name);

-- name: ring_topology
-- Wake the workers: their pool may have another queue.
SELECT pg_notify('taskyard_topology', '');

-- name: list_queues
-- The queues that workers consume, those of one pool or of all.
SELECT pool, name, state FROM topology_ledger
WHERE broker = %(broker)s AND kind = 'queue' AND state IN ('applied', 'draining')
  AND pool IS NOT NULL AND (%(pool)s::text IS NULL OR pool = %(pool)s)
ORDER BY applied_at, name;

-- name: forget_queue
-- A drained queue was removed.
DELETE FROM topology_ledger
WHERE broker = %(broker)s AND kind = 'queue' AND name = %(name)s
RETURNING pool, unbound_at;

-- name: lock_topology
-- One apply at a time, over all its transactions; the lock goes with the connection at the latest.
SELECT pg_advisory_lock(hashtext('taskyard topology ' || %(broker)s));

-- name: unlock_topology
-- The next one, please.
SELECT pg_advisory_unlock(hashtext('taskyard topology ' || %(broker)s));
