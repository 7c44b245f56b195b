-- What each idempotency key was first used for, and what that was answered with.

CREATE TABLE idempotency_keys (
    tenant       text COLLATE "C" NOT NULL DEFAULT 'default',
    key          text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),  -- SHA-256 of the request
    -- The reply as it was: later changes of the task or of the routing table do not show in it.
    task_id      uuid NOT NULL,
    pool         text NOT NULL,
    priority     smallint NOT NULL,
    state        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,                  -- when the key may be forgotten
    PRIMARY KEY (tenant, key)
);

CREATE INDEX idempotency_keys_to_forget ON idempotency_keys (expires_at);
