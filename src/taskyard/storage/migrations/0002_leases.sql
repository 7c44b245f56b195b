-- Leases that run out, crashes counted apart from errors, every attempt kept, replays.

ALTER TABLE tasks
    ADD COLUMN lease_expires_at    timestamptz,
    -- Attempts of this generation that ended in an error, and whose worker was lost.
    ADD COLUMN error_count         integer NOT NULL DEFAULT 0,
    ADD COLUMN crash_count         integer NOT NULL DEFAULT 0,
    ADD COLUMN max_crashes         integer NOT NULL DEFAULT 3 CHECK (max_crashes > 0),
    ADD COLUMN at_most_once        boolean NOT NULL DEFAULT false,
    ADD COLUMN deadline_at         timestamptz,                 -- no attempt runs past it
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN generation          integer NOT NULL DEFAULT 1;  -- each replay begins another

-- What runs while this is applied has no lease that could expire: it gets one.
UPDATE tasks SET lease_expires_at = now() + interval '15 seconds' WHERE state = 'running';

ALTER TABLE tasks
    DROP CONSTRAINT running_means_leased,
    ADD CONSTRAINT running_means_leased CHECK (
        (lease_token IS NOT NULL) = (state = 'running')
        AND (lease_expires_at IS NOT NULL) = (state = 'running'));

-- A page of history shows each attempt with how it ended, so the error of each is kept here.
ALTER TABLE task_events
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN error      jsonb,                -- of an attempt that did not succeed
    ADD COLUMN detail     jsonb;                -- what a replay changed

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
    RETURN NEW;
END $$;
