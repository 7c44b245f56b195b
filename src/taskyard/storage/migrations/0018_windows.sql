-- The broker holds a window of each pool's wake-ups, filled fairly; the rest waits here.

CREATE TABLE pool_windows (
    pool         text PRIMARY KEY,
    consumers    integer NOT NULL DEFAULT 0,           -- workers, as the reconciler counts them
    size         integer NOT NULL,                     -- how many wake-ups the broker may hold
    filled       integer NOT NULL DEFAULT 0,           -- how many it held after the latest round
    rate         double precision NOT NULL DEFAULT 0,  -- claims a second while tasks waited
    virtual_time double precision NOT NULL DEFAULT 0,  -- of start-time fair queueing
    looked_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What each tenant had of a pool while others waited, in virtual time. A tenant that is not here, or
-- is behind the pool, has no claim to what it did not use.
CREATE TABLE tenant_shares (
    pool      text NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    spent     double precision NOT NULL,
    served_at timestamptz NOT NULL,
    PRIMARY KEY (pool, tenant)
) WITH (fillfactor = 50);

-- Levels above its priority at which a task is dispatched, because its date comes near.
ALTER TABLE tasks
    ADD COLUMN boost smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT boost_is_bounded CHECK (boost >= 0 AND priority + boost <= 9);

-- One line for each tenant and level: its head is found without reading what is behind it.
DROP INDEX tasks_to_publish;
CREATE INDEX tasks_to_publish ON tasks (pool, tenant, (priority + boost), publish_at)
    WHERE state = 'pending';
