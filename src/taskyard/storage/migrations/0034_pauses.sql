-- Pools that are paused, and workers as they say of themselves that they live.

-- While a pool is in here nothing of it is dispatched or claimed. Resuming removes the row.
CREATE TABLE pool_pauses (
    pool   text PRIMARY KEY,
    since  timestamptz NOT NULL DEFAULT now(),
    reason text
);

-- One row for each run of a worker, from when it is ready until it has left. Who is not seen for a
-- while is gone without a word, and is removed later on.
CREATE TABLE workers (
    name               text PRIMARY KEY,
    pool               text NOT NULL,
    slots              integer NOT NULL CHECK (slots > 0),
    started_at         timestamptz NOT NULL DEFAULT now(),
    seen_at            timestamptz NOT NULL DEFAULT now(),
    drain_requested_at timestamptz
) WITH (fillfactor = 50);
