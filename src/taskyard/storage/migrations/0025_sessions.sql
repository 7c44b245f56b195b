-- People who have logged in with a browser. What ended is not here: the audit log tells of it.

CREATE TABLE sessions (
    digest    bytea PRIMARY KEY CHECK (octet_length(digest) = 32),  -- SHA-256 of what the browser has
    id        uuid NOT NULL UNIQUE,              -- what people call it; it opens nothing
    tenant    text COLLATE "C" NOT NULL,
    principal text NOT NULL,                     -- as the audit log names them
    scopes    text[] NOT NULL,
    patterns  text[] NOT NULL,                   -- topic patterns over task types
    key       text COLLATE "C",                  -- prefix of the API key, if it was by key
    issuer    text,                              -- else where they logged in
    began_at  timestamptz NOT NULL DEFAULT now(),
    seen_at   timestamptz NOT NULL DEFAULT now(),  -- to the minute
    ends_at   timestamptz NOT NULL,              -- whatever happens
    CONSTRAINT there_is_one_way CHECK ((key IS NULL) <> (issuer IS NULL))
);
CREATE INDEX sessions_of_principal ON sessions (tenant, principal, id);

-- Read and written by the API itself, never by a transaction of a tenant.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON sessions TO taskyard_system USING (true);
