-- What is in the broker is held against what should be there.

-- The reconciler asks how many wake-ups each pool's queue should hold, and which are the oldest.
CREATE INDEX tasks_queued ON tasks (pool, queued_at) WHERE state = 'queued';

CREATE TABLE reconciliation (
    pool       text PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT '-infinity',
    suspected  bigint NOT NULL DEFAULT 0,   -- missing at the latest check; lost if they still are
    lost       bigint NOT NULL DEFAULT 0,   -- wake-ups that were confirmed, and were gone
    repaired   bigint NOT NULL DEFAULT 0,   -- of those, published again and confirmed
    duplicated bigint NOT NULL DEFAULT 0    -- wake-ups for which a worker found nothing to claim
);
