-- What must hold of every row, in a trigger: a CHECK, like a trigger's WHEN, is parsed anew for each
-- statement that writes the table, and seven of them took a fifth of the time of claim and finish
-- (docs/performance.md). A function is parsed once for each connection.

CREATE FUNCTION check_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ended   boolean := NEW.state IN ('succeeded', 'failed', 'cancelled', 'expired', 'quarantined');
    running boolean := NEW.state = 'running';
    broken  text := CASE
        WHEN NOT (ended OR running
                  OR NEW.state IN ('scheduled', 'pending', 'queued', 'retrying')) THEN 'state_is_known'
        WHEN ended <> (NEW.finished_at IS NOT NULL) THEN 'ended_means_finished'
        WHEN running <> (NEW.lease_token IS NOT NULL)
            OR running <> (NEW.lease_expires_at IS NOT NULL) THEN 'running_means_leased'
        WHEN NEW.priority NOT BETWEEN 0 AND 9 THEN 'priority_is_bounded'
        WHEN NEW.boost < 0 OR NEW.priority + NEW.boost > 9 THEN 'boost_is_bounded'
        WHEN NEW.max_attempts < 1 OR NEW.max_crashes < 1 THEN 'there_is_an_attempt'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'task % breaks %', NEW.id, broken
            USING ERRCODE = 'check_violation', CONSTRAINT = broken;
    END IF;
    RETURN NEW;
END $$;

-- After tasks_moved, in the order of their names: it looks at the row as it will be.
CREATE TRIGGER tasks_valid
    BEFORE INSERT OR UPDATE OF state, finished_at, lease_token, lease_expires_at, priority, boost,
                               max_attempts, max_crashes
    ON tasks FOR EACH ROW EXECUTE FUNCTION check_task();

ALTER TABLE tasks
    DROP CONSTRAINT state_is_known,
    DROP CONSTRAINT ended_means_finished,
    DROP CONSTRAINT running_means_leased,
    DROP CONSTRAINT tasks_priority_check,
    DROP CONSTRAINT boost_is_bounded,
    DROP CONSTRAINT tasks_max_attempts_check,
    DROP CONSTRAINT tasks_max_crashes_check;

-- As before, but the condition that was the trigger's WHEN comes first.
CREATE OR REPLACE FUNCTION record_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
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

DROP TRIGGER tasks_moved ON tasks;
CREATE TRIGGER tasks_moved
    BEFORE UPDATE OF state ON tasks FOR EACH ROW EXECUTE FUNCTION record_transition();
