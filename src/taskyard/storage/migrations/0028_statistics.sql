-- Statistics: what happened to tasks, counted from the history, minute by minute and in all. They
-- survive restarts and the removal of the tasks they count.

CREATE FUNCTION add_elements(a bigint[], b bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(x + y ORDER BY place) FROM unnest(a, b) WITH ORDINALITY AS pairs (x, y, place)
$$;

CREATE AGGREGATE sum_elements (bigint[]) (
    SFUNC = add_elements, STYPE = bigint[], PARALLEL = SAFE, COMBINEFUNC = add_elements
);

-- One row for each thing that happened at least once within a minute, and one within an hour, which
-- charts of weeks read.
CREATE TABLE statistics (
    span    smallint NOT NULL CHECK (span IN (1, 60)),  -- minutes
    at      timestamptz NOT NULL,                       -- when the minute or hour began
    tenant  text COLLATE "C" NOT NULL,
    pool    text NOT NULL,
    type    text NOT NULL,
    change  text NOT NULL,                              -- services/statistics.py has them
    count   bigint NOT NULL,
    -- Of those that took a time: how long together, and how many up to each bound of
    -- core/statistics.py and beyond the last.
    seconds double precision,
    buckets bigint[],
    PRIMARY KEY (span, at, tenant, pool, type, change)
);
CREATE INDEX statistics_of_tenant ON statistics (tenant, span, at);

ALTER TABLE statistics ENABLE ROW LEVEL SECURITY;
ALTER TABLE statistics FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON statistics TO taskyard_system USING (true);
CREATE POLICY own ON statistics TO taskyard_tenant
    USING (tenant = (SELECT current_setting('taskyard.tenant')));
GRANT SELECT ON statistics TO taskyard_tenant;

-- The same of all tenants and times: what /metrics shows, so it never falls.
CREATE TABLE statistic_totals (
    pool    text NOT NULL,
    type    text NOT NULL,
    change  text NOT NULL,
    count   bigint NOT NULL,
    seconds double precision,
    buckets bigint[],
    since   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pool, type, change)
) WITH (fillfactor = 50);

-- What has not ended, as one dispatcher counted it a moment ago.
CREATE TABLE backlog_counts (
    pool     text NOT NULL,
    state    text NOT NULL,
    priority smallint NOT NULL,
    count    bigint NOT NULL,
    oldest   timestamptz,  -- since when the first of them is due; of what runs, since when it does
    PRIMARY KEY (pool, state, priority)
);

-- How far the history is counted, and when the backlog was; one dispatcher does each at a time.
CREATE TABLE statistics_cursors (
    purpose  text PRIMARY KEY CHECK (purpose IN ('history', 'backlog')),
    position bigint NOT NULL DEFAULT 0,
    at       timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO statistics_cursors (purpose) VALUES ('history'), ('backlog');
