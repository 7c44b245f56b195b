-- What attempts say while they run, and what is shown of it.

-- name: keep_lines
-- Add lines to the log of a task, if the lease is still ours, and drop those before the newest
-- hundred. `offsets` number the lines from the one kept before on.
WITH held AS (
    SELECT id, tenant FROM tasks
    WHERE id = %(id)s AND lease_token = %(token)s
      AND set_config('synchronous_commit', 'off', true) > ''
), before AS (
    SELECT coalesce(max(number), 0) AS number FROM task_logs WHERE task_id = %(id)s
), kept AS (
    INSERT INTO task_logs (task_id, tenant, number, at, attempt, text, fields)
    SELECT held.id, held.tenant, before.number + said.after, now() - said.age * interval '1 second',
           %(attempt)s, said.text, said.fields::jsonb
    FROM held, before,
         unnest(%(offsets)s::integer[], %(ages)s::double precision[], %(texts)s::text[],
                %(fields)s::text[]) AS said (after, age, text, fields)
    RETURNING number
), dropped AS (
    DELETE FROM task_logs
    WHERE task_id = %(id)s AND number <= (SELECT max(number) FROM kept) - 100
)
SELECT max(number) FROM kept;

-- name: list_lines
-- The log of a task behind a line, in order.
SELECT task_id, tenant, number, at, attempt, text, fields FROM task_logs
WHERE task_id = %(id)s AND tenant = %(tenant)s AND number > %(after)s
  AND (%(types)s::text IS NULL
       OR EXISTS (SELECT FROM tasks WHERE id = %(id)s AND type || '.' ~ %(types)s))
ORDER BY number;
