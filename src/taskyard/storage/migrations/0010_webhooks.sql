-- Who is told of changes outside: how far each purpose has read the history, webhook endpoints, and
-- what is on its way to them.

-- One reader for each purpose at a time. It holds no transaction open while it waits for a broker:
-- that would hold up everybody who waits for transactions to end (services/follow.py).
CREATE TABLE relay_cursors (
    purpose    text PRIMARY KEY,
    position   bigint NOT NULL,                          -- of the history, read and passed on
    holder     uuid,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);

-- What happened before there were webhooks and events is told to nobody.
INSERT INTO relay_cursors (purpose, position)
SELECT purpose, coalesce((SELECT max(position) FROM task_events), 0)
FROM unnest(ARRAY['webhooks', 'lifecycle']) AS given (purpose);

CREATE TABLE webhooks (
    id               uuid PRIMARY KEY,
    url              text NOT NULL,
    events           text[] NOT NULL,                    -- topic patterns over task.<type>.<state>
    description      text NOT NULL,
    secret           bytea NOT NULL,                     -- sealed: see services/sealing.py
    former_secret    bytea,
    former_until     timestamptz,                        -- signs as well until then
    created_at       timestamptz NOT NULL DEFAULT now(),
    enabled_at       timestamptz NOT NULL DEFAULT now(), -- changes before are not its own
    disabled_at      timestamptz,
    disabled_because text,
    CONSTRAINT disabled_has_a_reason CHECK ((disabled_at IS NULL) = (disabled_because IS NULL)),
    CONSTRAINT former_secret_ends CHECK ((former_secret IS NULL) = (former_until IS NULL))
);

CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,                    -- the webhook-id of every attempt
    webhook_id      uuid REFERENCES webhooks ON DELETE CASCADE, -- null: to a task's notify_url
    url             text,                                -- of the latter
    endpoint        text NOT NULL,                       -- whose attempts are bounded together
    task_id         uuid NOT NULL,
    seq             integer NOT NULL,
    event           text NOT NULL,                       -- task.<type>.<state>
    body            text NOT NULL,                       -- what is signed and sent, every time
    state           text NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,          -- since the last replay
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_try_at     timestamptz DEFAULT now(),
    lease_token     uuid,
    leased_until    timestamptz NOT NULL DEFAULT '-infinity',
    tried_at        timestamptz,
    finished_at     timestamptz,
    response_status integer,
    response_body   text,                                -- its first KiB
    fault           text,                                -- why the latest attempt was none
    CONSTRAINT one_target CHECK ((webhook_id IS NULL) <> (url IS NULL)),
    CONSTRAINT pending_has_a_date CHECK ((next_try_at IS NOT NULL) = (state = 'pending')),
    CONSTRAINT ended_has_a_date CHECK ((finished_at IS NULL) = (state = 'pending'))
) WITH (fillfactor = 80);

-- One delivery of one change to one target; a task's notify_url is its only one without a webhook.
CREATE UNIQUE INDEX webhook_deliveries_once ON webhook_deliveries (task_id, seq, webhook_id)
    NULLS NOT DISTINCT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_try_at)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (endpoint)
    WHERE lease_token IS NOT NULL;
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (finished_at)
    WHERE state <> 'pending';

-- Who is told of the end of this one task.
ALTER TABLE tasks ADD COLUMN notify_url text;
CREATE INDEX tasks_that_notify ON tasks (id) WHERE notify_url IS NOT NULL;
