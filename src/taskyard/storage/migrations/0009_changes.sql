-- The history of all tasks in one order, so that streams, webhooks and published events can follow
-- it and go on where they stopped.

-- Positions are given out before commits, so a later one may be seen earlier: who follows waits at
-- a gap until nobody can fill it any more (services/follow.py).
ALTER TABLE task_events ADD COLUMN position bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX task_events_in_order ON task_events (position);

-- Whether somebody waits for the end of a task. A NOTIFY for every end would make all commits queue
-- up behind each other.
ALTER TABLE tasks ADD COLUMN watched boolean NOT NULL DEFAULT false;
