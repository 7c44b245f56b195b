-- What a drill reads once all is quiet.

-- name: read_tasks
-- Every task, with the number of its submission.
SELECT id::text, labels ->> 'drill' AS number, type, state, attempt, event_seq, generation,
       max_crashes, result, reason, expires_at
FROM tasks;

-- name: read_events
-- Every event, in order.
SELECT task_id::text, seq, state, attempt, at, generation, reason
FROM task_events ORDER BY task_id, seq;

-- name: read_writes
-- Every write that the witness saw, in order.
SELECT task_id::text, number AS "order", state, attempt, generation, token::text, outcome
FROM drill_writes ORDER BY number;

-- name: read_effects
-- Every effect that was committed.
SELECT task_id::text, effect_key AS key, attempt FROM drill_effects;

-- name: count_unended
-- How many tasks have not ended.
SELECT count(*) FROM tasks WHERE state IN ('scheduled', 'pending', 'queued', 'running', 'retrying');

-- name: list_unended
-- What a client may know of tasks that could be woken.
SELECT id, type, priority FROM tasks
WHERE state IN ('pending', 'queued', 'running', 'retrying') ORDER BY id DESC LIMIT 200;

-- name: count_connections
-- How many connections of a stack are open.
SELECT count(*) FROM pg_stat_activity
WHERE application_name LIKE 'taskyard %' AND application_name <> 'taskyard drill';
