-- Whose everything is. What was there before belongs to the tenant `default`.

-- Who has settings of their own; a tenant without a row has the defaults.
CREATE TABLE tenants (
    name       text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    weight     real NOT NULL DEFAULT 1 CHECK (weight > 0),  -- its share where several wait
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (name) VALUES ('default');

ALTER TABLE tasks ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE task_events ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE task_logs ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE task_memos ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE webhooks ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE webhook_deliveries ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE inbox_events ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE parked_events ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT 'default';

-- The list of a tenant's tasks: one with few among many would else read the others' to find them.
CREATE INDEX tasks_of_tenant ON tasks (tenant, id);

CREATE OR REPLACE FUNCTION record_submissions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task_events (task_id, tenant, seq, state, attempt, reason)
    SELECT id, tenant, event_seq, state, attempt, reason FROM submitted;
    RETURN NULL;
END $$;

-- As before, and the history belongs to the task's tenant.
CREATE OR REPLACE FUNCTION record_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (CASE OLD.state
        WHEN 'queued' THEN NEW.state IN ('running', 'scheduled', 'cancelled', 'expired')
        WHEN 'running' THEN
            NEW.state IN ('succeeded', 'failed', 'retrying', 'quarantined', 'cancelled')
        WHEN 'pending' THEN
            NEW.state IN ('queued', 'running', 'scheduled', 'cancelled', 'expired')
        WHEN 'succeeded' THEN false
        WHEN 'scheduled' THEN NEW.state IN ('pending', 'cancelled', 'expired')
        WHEN 'retrying' THEN NEW.state IN ('pending', 'cancelled', 'expired')
        ELSE NEW.state = 'pending'  -- a replay
    END) THEN
        RAISE EXCEPTION 'task % may not go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transition_is_legal';
    END IF;
    NEW.event_seq := OLD.event_seq + 1;
    INSERT INTO task_events (
        task_id, tenant, seq, state, attempt, worker, reason, generation, error, detail)
    VALUES (NEW.id, NEW.tenant, NEW.event_seq, NEW.state, NEW.attempt, NEW.worker, NEW.reason,
            NEW.generation,
            CASE WHEN OLD.state = 'running' THEN NEW.error END,
            CASE WHEN NEW.generation > OLD.generation AND NEW.args <> OLD.args
                 THEN jsonb_build_object('args_before', OLD.args) END);
    IF NEW.watched AND NEW.finished_at IS NOT NULL THEN
        PERFORM pg_notify('taskyard_ended', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
