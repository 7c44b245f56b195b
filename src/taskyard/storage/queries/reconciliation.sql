-- Holding the broker against the truth.

-- name: know_pools
-- A row for each pool.
INSERT INTO reconciliation (pool) SELECT unnest(%(pools)s::text[]) ON CONFLICT DO NOTHING;

-- name: take_checks
-- The pools whose check is due, for the one dispatcher that asks first. A suspicion is looked into
-- soon.
UPDATE reconciliation SET checked_at = now()
WHERE pool IN (
    SELECT pool FROM reconciliation
    WHERE pool = ANY (%(pools)s)
      AND checked_at <= now() - CASE WHEN suspected > 0 THEN 0.5 ELSE %(every)s END
                                * interval '1 second'
    FOR UPDATE SKIP LOCKED)
RETURNING pool, suspected;

-- name: count_overdue
-- How many tasks of a pool the broker has confirmed some time ago and nobody has claimed, counted up
-- to a bound.
SELECT count(*) FROM (
    SELECT FROM tasks
    WHERE state = 'queued' AND pool = %(pool)s
      AND queued_at <= now() - %(older_than)s * interval '1 second'
    LIMIT %(at_most)s) AS overdue;

-- name: take_overdue
-- The oldest of them, to publish again. They count as fresh from now on.
UPDATE tasks SET queued_at = now(), reason = 'published again, its wake-up was lost'
WHERE id IN (
    SELECT id FROM tasks
    WHERE state = 'queued' AND pool = %(pool)s
      AND queued_at <= now() - %(older_than)s * interval '1 second'
    ORDER BY queued_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED)
RETURNING id, type, priority;

-- name: suspect
-- Remember what was missing at this check.
UPDATE reconciliation SET suspected = %(suspected)s WHERE pool = %(pool)s;

-- name: count_repairs
-- Remember what was found lost, and what of it was published again.
UPDATE reconciliation SET lost = lost + %(lost)s, repaired = repaired + %(repaired)s
WHERE pool = %(pool)s;

-- name: count_duplicate
-- A worker of the pool got a wake-up and found nothing to claim.
INSERT INTO reconciliation (pool, duplicated)
SELECT %(pool)s::text, 1 WHERE set_config('synchronous_commit', 'off', true) > ''
ON CONFLICT (pool) DO UPDATE SET duplicated = reconciliation.duplicated + 1;

-- name: read_reconciliation
-- The numbers of every pool that was checked.
SELECT pool, checked_at, lost, repaired, duplicated FROM reconciliation
WHERE checked_at > '-infinity';
