-- What those read who follow single tasks, many tasks in one statement.

-- name: look_at
-- How far each of some tasks is: its newest event, its progress, the newest line of its log.
SELECT id, tenant, event_seq AS seq, finished_at IS NOT NULL AS ended, progress,
       coalesce((SELECT max(number) FROM task_logs WHERE task_id = id), 0) AS line
FROM tasks WHERE id = ANY (%(ids)s);

-- name: events_behind
-- The history of some tasks, each from behind a number on, in order.
SELECT task_id AS id, tenant, task_events.seq, at, state, generation, attempt, worker, reason,
       error, detail
FROM unnest(%(ids)s::uuid[], %(seqs)s::integer[]) AS known (task_id, seq)
JOIN task_events USING (task_id)
WHERE task_events.seq > known.seq
ORDER BY task_id, task_events.seq;

-- name: lines_behind
-- The logs of some tasks, each from behind a number on, in order.
SELECT task_id, tenant, task_logs.number, at, attempt, text, fields
FROM unnest(%(ids)s::uuid[], %(lines)s::integer[]) AS known (task_id, number)
JOIN task_logs USING (task_id)
WHERE task_logs.number > known.number
ORDER BY task_id, task_logs.number;

-- name: kept_positions
-- The oldest and the newest position in the history of all tasks.
SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM task_events;
