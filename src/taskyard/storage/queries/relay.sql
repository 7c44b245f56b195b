-- How far each purpose has read the history, and what goes out with it.

-- name: hold_cursor
-- Take or keep the right to read for a purpose. No row: another holds it. A cursor that was removed
-- by hand begins anew, with what happens from now on.
INSERT INTO relay_cursors AS cursor (purpose, position, holder, held_until)
VALUES (%(purpose)s, (SELECT coalesce(max(position), 0) FROM task_events), %(holder)s,
        now() + %(lease)s * interval '1 second')
ON CONFLICT (purpose) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE cursor.holder = excluded.holder OR cursor.held_until < now()
RETURNING position;

-- name: move_cursor
-- Say what was read and passed on, and keep the right to go on. No row: it was lost meanwhile.
UPDATE relay_cursors SET position = %(position)s,
                         held_until = now() + %(lease)s * interval '1 second'
WHERE purpose = %(purpose)s AND holder = %(holder)s AND position = %(after)s
RETURNING position;

-- name: release_cursors
-- Let somebody else go on at once.
UPDATE relay_cursors SET holder = NULL, held_until = '-infinity' WHERE holder = %(holder)s;

-- name: anybody_told
-- Whether a webhook or a task's notify_url may want what happens.
SELECT EXISTS (SELECT FROM webhooks WHERE disabled_at IS NULL)
    OR EXISTS (SELECT FROM tasks WHERE notify_url IS NOT NULL);

-- name: endings
-- What the news of an end holds beside the change: the result, if it is small, and whom to tell.
SELECT id, tenant, notify_url, CASE WHEN size <= %(largest)s THEN result END AS result,
       coalesce(size > %(largest)s, false) AS too_large
FROM (SELECT id, tenant, notify_url, result,
             -- What is sealed is in base64.
             octet_length(result::text) * CASE WHEN result ? '$sealed' THEN 0.75 ELSE 1 END AS size
      FROM tasks WHERE id = ANY (%(ids)s)) AS ended;
