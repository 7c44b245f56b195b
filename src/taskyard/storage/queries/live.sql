-- What a deploy must still be able to run.

-- name: walk_unfinished
-- Every task that has not ended, and every dead letter; reads the whole table.
SELECT id, tenant, type, state, args FROM tasks
WHERE state IN ('scheduled', 'pending', 'queued', 'retrying', 'running',
                'failed', 'expired', 'quarantined');
