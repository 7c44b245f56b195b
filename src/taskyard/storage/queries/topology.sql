-- name: read_ledger
-- What `taskyard topology apply` did to a broker.
SELECT kind, name, source, pattern FROM topology_ledger WHERE broker = %(broker)s;

-- name: clear_ledger
-- Forget it, to write it anew in the same transaction.
DELETE FROM topology_ledger WHERE broker = %(broker)s;

-- name: write_ledger
-- Remember what was done.
INSERT INTO topology_ledger (broker, kind, name, source, pattern)
SELECT %(broker)s, kind, name, source, pattern
FROM unnest(%(kinds)s::text[], %(names)s::text[], %(sources)s::text[], %(patterns)s::text[])
    AS applied (kind, name, source, pattern);

-- name: lock_topology
-- One apply at a time; the lock goes with the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskyard topology ' || %(broker)s));
