-- Who did what: only added to and read. The trigger numbers, dates and chains what is added.

-- name: append_entry
-- Record one thing that somebody did. It is said last in a transaction (migration 0022).
INSERT INTO audit_log (tenant, actor, action, target, detail)
VALUES (%(tenant)s, %(actor)s, %(action)s, %(target)s, %(detail)s);

-- name: list_entries
-- A tenant's entries, the newest first, from just below `before`; what is NULL does not matter.
SELECT tenant, seq, at, actor, action, target, detail::text, previous, hash
FROM audit_log
WHERE tenant = %(tenant)s
  AND (%(before)s::bigint IS NULL OR seq < %(before)s)
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(target)s::text IS NULL OR target = %(target)s)
ORDER BY seq DESC LIMIT %(limit)s;

-- name: walk_entries
-- A tenant's entries above `after`, the oldest first.
SELECT tenant, seq, at, actor, action, target, detail::text, previous, hash
FROM audit_log
WHERE tenant = %(tenant)s AND seq > %(after)s
ORDER BY seq LIMIT %(limit)s;

-- name: audited_tenants
-- Who has entries.
SELECT DISTINCT tenant FROM audit_log ORDER BY tenant;
