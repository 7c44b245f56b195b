-- The statements on events from outside.

-- name: insert_events
-- Take events in, each once: what is there already is left out. They are taken in the order of their
-- names, so that no two statements wait for each other. They come as one JSON text: to quote JSON in
-- the elements of an array took a third of the time of an ingest (measured).
INSERT INTO inbox_events (key, tenant, source, id, type, subject, time, state, reason, document, tasks)
SELECT key, tenant, source, id, type, subject, time, state, reason, document, tasks
FROM jsonb_to_recordset(%(events)s::jsonb)
    AS given (key uuid, tenant text, source text, id text, type text, subject text, time timestamptz,
              state text, reason text, document jsonb, tasks jsonb)
ORDER BY tenant COLLATE "C", source COLLATE "C", id COLLATE "C", key
ON CONFLICT (tenant, source, id) DO NOTHING
RETURNING key;

-- name: find_events
-- What became of events that are there already.
SELECT key, tenant, source, id, type, subject, time, received_at, state, reason, generation, document,
       tasks
FROM inbox_events
WHERE (tenant, source, id) IN (
    SELECT * FROM unnest(%(tenants)s::text[], %(sources)s::text[], %(ids)s::text[]));

-- name: get_event
-- One event, by our own key.
SELECT key, tenant, source, id, type, subject, time, received_at, state, reason, generation, document,
       tasks
FROM inbox_events WHERE key = %(key)s AND tenant = %(tenant)s;

-- name: list_events
-- One page, newest first: UUIDv7 keys are in the order of their making. `matching` is a regular
-- expression on the type with a dot behind it.
SELECT key, tenant, source, id, type, subject, time, received_at, state, reason, generation, document,
       tasks
FROM inbox_events
WHERE tenant = %(tenant)s
  AND (%(below)s::uuid IS NULL OR key < %(below)s)
  AND (%(since)s::uuid IS NULL OR key >= %(since)s)
  AND (%(until)s::uuid IS NULL OR key < %(until)s)
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(matching)s::text IS NULL OR type || '.' ~ %(matching)s)
ORDER BY key DESC
LIMIT %(limit)s;

-- name: walk_events
-- The next events in the order of their arrival.
SELECT key, tenant, source, id, type, subject, time, received_at, state, reason, generation, document,
       tasks
FROM inbox_events
WHERE tenant = %(tenant)s AND key > %(after)s AND key < %(until)s
  AND (%(matching)s::text IS NULL OR type || '.' ~ %(matching)s)
ORDER BY key
LIMIT %(limit)s;

-- name: take_events
-- The same, kept from others until the transaction ends.
SELECT key, tenant, source, id, type, subject, time, received_at, state, reason, generation, document,
       tasks
FROM inbox_events
WHERE tenant = %(tenant)s AND key > %(after)s AND key < %(until)s
  AND (%(matching)s::text IS NULL OR type || '.' ~ %(matching)s)
ORDER BY key
LIMIT %(limit)s
FOR UPDATE;

-- name: set_events
-- Record what became of events when their rules were considered again.
UPDATE inbox_events SET state = given.state, reason = given.reason, tasks = given.tasks::jsonb,
                        generation = given.generation
FROM unnest(%(keys)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(tasks)s::text[],
            %(generations)s::integer[]) AS given (key, state, reason, tasks, generation)
WHERE inbox_events.key = given.key;

-- name: sweep_events
-- Remove the oldest events that have been kept long enough. One that a crash brings back is removed
-- again: no need to wait for the disk.
DELETE FROM inbox_events WHERE key IN (
    SELECT key FROM inbox_events
    WHERE key < %(until)s AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    ORDER BY key LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED);

-- name: sweep_parked
-- The same for what was parked.
DELETE FROM parked_events WHERE key IN (
    SELECT key FROM parked_events
    WHERE key < %(until)s AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    ORDER BY key LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED);
