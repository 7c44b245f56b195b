-- How long tasks run, measured: what a turn costs, and when what waits may start.

CREATE TABLE run_times (
    pool     text NOT NULL,
    type     text NOT NULL,
    mean     double precision NOT NULL,  -- seconds, the latest attempts counting most
    variance double precision NOT NULL,
    PRIMARY KEY (pool, type)
) WITH (fillfactor = 50);

ALTER TABLE pool_windows
    ADD COLUMN run_mean     double precision,  -- over all types, as often as each ran
    ADD COLUMN run_variance double precision;

-- How far the history has been measured; one dispatcher does so at a time.
CREATE TABLE measured (
    position bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
INSERT INTO measured (position) VALUES (0);

-- A date by which a task is to be done: `boost` rises as the time until it must start runs out.
ALTER TABLE tasks
    ADD COLUMN finish_by timestamptz,
    ADD COLUMN start_by  timestamptz,
    ADD COLUMN boost_at  timestamptz;
CREATE INDEX tasks_to_boost ON tasks (boost_at)
    WHERE boost_at IS NOT NULL AND state IN ('scheduled', 'pending', 'retrying');
