-- What steps of tasks returned the first time.

-- name: find_memo
-- The value of a step.
SELECT value FROM task_memos WHERE task_id = %(id)s AND step = %(step)s;

-- name: keep_memo
-- Keep the value of a step, if the lease is still ours. Said again it changes nothing.
INSERT INTO task_memos (task_id, tenant, step, value)
SELECT id, tenant, %(step)s::text, %(value)s::jsonb FROM tasks
WHERE id = %(id)s AND lease_token = %(token)s
ON CONFLICT (task_id, step) DO UPDATE SET value = task_memos.value
RETURNING task_id;
