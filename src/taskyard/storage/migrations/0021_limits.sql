-- Limits of task types and resources: what holds them, and who waits for them.

-- One row for each limit that was ever met. Who takes a permit locks it, so that two never count
-- the same room; a task type without limits has no row and no lock.
CREATE TABLE limits (
    name           text COLLATE "C" PRIMARY KEY,             -- task:<type> or resource:<name>
    share          double precision NOT NULL DEFAULT 1 CHECK (share > 0 AND share <= 1),
    shrunk_at      timestamptz,                              -- when the share was cut down
    paused_until   timestamptz,
    reports        bigint NOT NULL DEFAULT 0,                -- how often tasks said: throttled
    reported_at    timestamptz,
    promised_until timestamptz NOT NULL DEFAULT now(),       -- when the last in line looks again
    virtual_time   double precision NOT NULL DEFAULT 0       -- of the line: that of its latest release
);

-- What an attempt holds. It counts for as long as the task has this lease, and no longer.
CREATE TABLE permits (
    name    text COLLATE "C" NOT NULL REFERENCES limits,
    token   uuid NOT NULL,
    task_id uuid NOT NULL,
    PRIMARY KEY (name, token)
);

-- Starts under a rate, until its period has passed.
CREATE TABLE starts (
    name text COLLATE "C" NOT NULL REFERENCES limits,
    at   timestamptz NOT NULL
);
CREATE INDEX starts_in_order ON starts (name, at);

-- Room that is kept for a task on its way from the line to a worker.
CREATE TABLE reservations (
    task_id uuid PRIMARY KEY,
    names   text[] NOT NULL,
    until   timestamptz NOT NULL
);

-- The line: tasks that a worker could not start, each under the limit that had no room.
ALTER TABLE tasks ADD COLUMN waits_for text COLLATE "C";
CREATE INDEX tasks_in_line ON tasks (waits_for, tenant, priority DESC, id)
    WHERE waits_for IS NOT NULL AND state = 'scheduled';

-- What each tenant has had of a line while others waited, in virtual time. One that is not here, or
-- is behind the line, has no claim to what it did not use.
CREATE TABLE line_turns (
    name   text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    spent  double precision NOT NULL,
    PRIMARY KEY (name, tenant)
) WITH (fillfactor = 50);
