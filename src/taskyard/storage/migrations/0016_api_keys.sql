-- API keys: `tk_<prefix>_<secret>`. Of the secret only a keyed digest is here.

CREATE TABLE api_keys (
    prefix       text COLLATE "C" PRIMARY KEY,
    tenant       text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL,                -- HMAC-SHA256 under a key that is not in here
    name         text NOT NULL,                 -- for people
    scopes       text[] NOT NULL,
    patterns     text[] NOT NULL,               -- topic patterns over task types
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz                    -- to the minute
);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant, created_at);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON api_keys TO taskyard_system USING (true);
