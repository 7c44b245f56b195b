-- Whoever waits for a task is told of its end; what attempts say while they run.

-- The newest lines of each task's log. A number left out was said, and dropped.
CREATE TABLE task_logs (
    task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    number  integer NOT NULL,
    at      timestamptz NOT NULL,
    attempt integer NOT NULL,
    text    text NOT NULL,
    fields  jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (task_id, number)
);

-- As before, and the end of a watched task is notified, once it is committed.
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
        task_id, seq, state, attempt, worker, reason, generation, error, detail)
    VALUES (NEW.id, NEW.event_seq, NEW.state, NEW.attempt, NEW.worker, NEW.reason, NEW.generation,
            CASE WHEN OLD.state = 'running' THEN NEW.error END,
            CASE WHEN NEW.generation > OLD.generation AND NEW.args <> OLD.args
                 THEN jsonb_build_object('args_before', OLD.args) END);
    IF NEW.watched AND NEW.finished_at IS NOT NULL THEN
        PERFORM pg_notify('taskyard_ended', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
