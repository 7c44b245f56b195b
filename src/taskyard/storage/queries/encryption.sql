-- Which keys sealed what is stored, and writing it anew. `active` is the id of the key that closes,
-- null: none does.

-- name: count_keys
-- How many values there are of each kind, by the key that sealed them. Reads everything.
SELECT kind, coalesce(key, 'plain') AS key, count(*) AS count
FROM (
    SELECT 'tasks' AS kind, sealed_with(value) AS key
    FROM tasks, LATERAL (VALUES (args), (result), (error), (progress)) AS it (value)
    WHERE value IS NOT NULL
    UNION ALL
    SELECT 'history', sealed_with(value)
    FROM task_events, LATERAL (VALUES (error), (detail -> 'args_before')) AS it (value)
    WHERE value IS NOT NULL
    UNION ALL
    SELECT 'logs', sealed_with(fields) FROM task_logs
    UNION ALL
    SELECT 'memos', sealed_with(value) FROM task_memos
    UNION ALL
    SELECT 'webhooks', sealed_with(value)
    FROM webhooks, LATERAL (VALUES (secret), (former_secret)) AS it (value)
    WHERE value IS NOT NULL
    UNION ALL
    SELECT 'deliveries', sealed_with(value)
    FROM webhook_deliveries, LATERAL (VALUES (body), (response_body)) AS it (value)
    WHERE value IS NOT NULL
    UNION ALL
    SELECT 'events', sealed_with(document) FROM inbox_events
    UNION ALL
    SELECT 'parked', it.key
    FROM parked_events,
         LATERAL (VALUES (detail IS NOT NULL, sealed_with(detail)),
                         (attributes IS NOT NULL, sealed_with(attributes)),
                         (body IS NOT NULL, sealed_with(body))) AS it (there, key)
    WHERE there
) AS found
GROUP BY kind, key
ORDER BY kind, key;

-- name: next_tasks
-- The next tasks that hold something not sealed with the active key, kept until it is.
SELECT id, tenant, args::text, result::text, error::text, progress::text
FROM tasks
WHERE id > %(after)s
  AND (sealed_with(args) IS DISTINCT FROM %(active)s::text
       OR result IS NOT NULL AND sealed_with(result) IS DISTINCT FROM %(active)s::text
       OR error IS NOT NULL AND sealed_with(error) IS DISTINCT FROM %(active)s::text
       OR progress IS NOT NULL AND sealed_with(progress) IS DISTINCT FROM %(active)s::text)
ORDER BY id LIMIT %(limit)s
FOR UPDATE;

-- name: write_tasks
-- Write them anew.
UPDATE tasks SET args = given.args::jsonb, result = given.result::jsonb,
                 error = given.error::jsonb, progress = given.progress::jsonb
FROM unnest(%(id)s::uuid[], %(args)s::text[], %(result)s::text[], %(error)s::text[],
            %(progress)s::text[]) AS given (id, args, result, error, progress)
WHERE tasks.id = given.id;

-- name: next_history
-- The same for the history of tasks.
SELECT task_id AS id, seq AS number, tenant, error::text, detail::text
FROM task_events
WHERE (task_id, seq) > (%(after)s, %(after_number)s)
  AND (error IS NOT NULL AND sealed_with(error) IS DISTINCT FROM %(active)s::text
       OR detail ? 'args_before'
          AND sealed_with(detail -> 'args_before') IS DISTINCT FROM %(active)s::text)
ORDER BY task_id, seq LIMIT %(limit)s
FOR UPDATE;

-- name: write_history
-- Write it anew.
UPDATE task_events SET error = given.error::jsonb, detail = given.detail::jsonb
FROM unnest(%(id)s::uuid[], %(number)s::integer[], %(error)s::text[], %(detail)s::text[])
    AS given (id, number, error, detail)
WHERE task_id = given.id AND seq = given.number;

-- name: next_logs
-- The same for the logs of tasks.
SELECT task_id AS id, number, tenant, text, fields::text
FROM task_logs
WHERE (task_id, number) > (%(after)s, %(after_number)s)
  AND sealed_with(fields) IS DISTINCT FROM %(active)s::text
ORDER BY task_id, number LIMIT %(limit)s
FOR UPDATE;

-- name: write_logs
-- Write them anew.
UPDATE task_logs SET text = given.text, fields = given.fields::jsonb
FROM unnest(%(id)s::uuid[], %(number)s::integer[], %(text)s::text[], %(fields)s::text[])
    AS given (id, number, text, fields)
WHERE task_id = given.id AND task_logs.number = given.number;

-- name: next_memos
-- The same for memos.
SELECT task_id AS id, step AS number, tenant, value::text
FROM task_memos
WHERE (task_id, step) > (%(after)s, %(after_number)s)
  AND sealed_with(value) IS DISTINCT FROM %(active)s::text
ORDER BY task_id, step LIMIT %(limit)s
FOR UPDATE;

-- name: write_memos
-- Write them anew.
UPDATE task_memos SET value = given.value::jsonb
FROM unnest(%(id)s::uuid[], %(number)s::text[], %(value)s::text[]) AS given (id, number, value)
WHERE task_id = given.id AND step = given.number;

-- name: next_webhooks
-- The same for the secrets of webhooks.
SELECT id, tenant, secret, former_secret
FROM webhooks
WHERE id > %(after)s
  AND (sealed_with(secret) IS DISTINCT FROM %(active)s::text
       OR former_secret IS NOT NULL
          AND sealed_with(former_secret) IS DISTINCT FROM %(active)s::text)
ORDER BY id LIMIT %(limit)s
FOR UPDATE;

-- name: write_webhooks
-- Write them anew.
UPDATE webhooks SET secret = given.secret, former_secret = given.former_secret
FROM unnest(%(id)s::uuid[], %(secret)s::bytea[], %(former_secret)s::bytea[])
    AS given (id, secret, former_secret)
WHERE webhooks.id = given.id;

-- name: next_deliveries
-- The same for what is sent to webhooks, and what they answered.
SELECT id, tenant, body, response_body
FROM webhook_deliveries
WHERE id > %(after)s
  AND (sealed_with(body) IS DISTINCT FROM %(active)s::text
       OR response_body IS NOT NULL
          AND sealed_with(response_body) IS DISTINCT FROM %(active)s::text)
ORDER BY id LIMIT %(limit)s
FOR UPDATE;

-- name: write_deliveries
-- Write it anew.
UPDATE webhook_deliveries SET body = given.body, response_body = given.response_body
FROM unnest(%(id)s::uuid[], %(body)s::text[], %(response_body)s::text[])
    AS given (id, body, response_body)
WHERE webhook_deliveries.id = given.id;

-- name: next_events
-- The same for events from outside.
SELECT key AS id, tenant, document::text
FROM inbox_events
WHERE key > %(after)s AND sealed_with(document) IS DISTINCT FROM %(active)s::text
ORDER BY key LIMIT %(limit)s
FOR UPDATE;

-- name: write_events
-- Write them anew.
UPDATE inbox_events SET document = given.document::jsonb
FROM unnest(%(id)s::uuid[], %(document)s::text[]) AS given (id, document)
WHERE key = given.id;

-- name: next_parked
-- The same for what is parked.
SELECT key AS id, tenant, detail, attributes::text, body
FROM parked_events
WHERE key > %(after)s
  AND (sealed_with(detail) IS DISTINCT FROM %(active)s::text
       OR attributes IS NOT NULL AND sealed_with(attributes) IS DISTINCT FROM %(active)s::text
       OR body IS NOT NULL AND sealed_with(body) IS DISTINCT FROM %(active)s::text)
ORDER BY key LIMIT %(limit)s
FOR UPDATE;

-- name: write_parked
-- Write it anew.
UPDATE parked_events SET detail = given.detail, attributes = given.attributes::jsonb,
                         body = given.body
FROM unnest(%(id)s::uuid[], %(detail)s::text[], %(attributes)s::text[], %(body)s::bytea[])
    AS given (id, detail, attributes, body)
WHERE key = given.id;
