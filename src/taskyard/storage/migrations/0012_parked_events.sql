-- What arrived and waits for a person, with the reason.

CREATE TABLE parked_events (
    key              uuid PRIMARY KEY,           -- that of the event in the inbox, if it could be read
    parked_at        timestamptz NOT NULL DEFAULT now(),
    reason           text NOT NULL,
    detail           text NOT NULL,
    source           text,
    id               text,
    type             text,
    -- Of what could not be read: as it arrived, to be read again. The body is cut when it is too
    -- large to ever be read.
    content_type     text,
    content_encoding text,
    user_id          text,
    attributes       jsonb,
    body             bytea,
    size             integer NOT NULL DEFAULT 0,
    replays          integer NOT NULL DEFAULT 0  -- how often it was replayed in vain
);
