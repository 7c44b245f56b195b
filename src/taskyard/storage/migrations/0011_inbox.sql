-- The inbox: every event that could be read, once, with what became of it. It is the event log, too.

CREATE TABLE inbox_events (
    key         uuid PRIMARY KEY,                -- UUIDv7, made when it arrived: in the order of time
    source      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,       -- the publisher's, unique with the source
    type        text NOT NULL,
    subject     text,
    time        timestamptz,                     -- the publisher's; ours is received_at
    received_at timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL CHECK (state IN ('fired', 'unmatched', 'parked')),
    reason      text,
    generation  integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    document    jsonb NOT NULL,                  -- the whole event in its JSON form
    tasks       jsonb NOT NULL DEFAULT '[]',     -- [{"rule": …, "task": …, "generation": …}, …]
    -- What makes redelivery harmless.
    CONSTRAINT inbox_events_once UNIQUE (source, id)
);
