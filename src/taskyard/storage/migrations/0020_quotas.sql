-- What a tenant may submit and hold.

-- Its own limits, over the defaults of routing/limits.toml: a key that is missing has the default,
-- one that is null is unlimited.
ALTER TABLE tenants ADD COLUMN limits jsonb NOT NULL DEFAULT '{}'
    CHECK (jsonb_typeof(limits) = 'object');

-- The bucket of each tenant that has limits, and what it holds. API processes draw from it, many
-- tasks at once, so it is no row that every submission writes.
CREATE TABLE tenant_usage (
    tenant       text COLLATE "C" PRIMARY KEY,
    tokens       double precision NOT NULL,
    filled_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- As the dispatcher counted, and what was drawn since.
    in_flight    bigint NOT NULL DEFAULT 0,
    queued       bigint NOT NULL DEFAULT 0,
    stored       bigint NOT NULL DEFAULT 0,             -- bytes of args, results and errors
    drawn        bigint NOT NULL DEFAULT 0,
    drawn_bytes  bigint NOT NULL DEFAULT 0,
    counted_at   timestamptz,
    weighed_at   timestamptz
) WITH (fillfactor = 50);
