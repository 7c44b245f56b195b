-- Sessions of browsers. One is open until it was idle for too long, its time is over, or the API key
-- that it was begun with is no longer valid.

-- name: begin_session
-- A session that somebody has just logged in to, for so many seconds at most.
INSERT INTO sessions (digest, id, tenant, principal, scopes, patterns, key, issuer, ends_at)
VALUES (%(digest)s, %(id)s, %(tenant)s, %(principal)s, %(scopes)s, %(patterns)s, %(key)s, %(issuer)s,
        now() + %(longest)s::double precision * interval '1 second');

-- name: crowd_out
-- End the oldest sessions of somebody who has more than `most`.
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE tenant = %(tenant)s AND principal = %(principal)s
    ORDER BY id DESC OFFSET %(most)s);

-- name: find_session
-- An open session and for how many seconds it is; one by key may what the key may now. `unseen` is
-- for how many seconds nobody noted that it was used.
SELECT sessions.id, sessions.tenant, sessions.principal, sessions.issuer,
       coalesce(api_keys.scopes, sessions.scopes) AS scopes,
       coalesce(api_keys.patterns, sessions.patterns) AS patterns,
       extract(epoch FROM now() - seen_at)::double precision AS unseen,
       extract(epoch FROM least(ends_at, seen_at + %(idle)s::double precision * interval '1 second',
                                api_keys.expires_at) - now())::double precision AS seconds_left
FROM sessions LEFT JOIN api_keys ON api_keys.prefix = sessions.key
WHERE sessions.digest = %(digest)s AND ends_at > now()
  AND seen_at > now() - %(idle)s::double precision * interval '1 second'
  AND (sessions.key IS NULL OR (api_keys.prefix IS NOT NULL AND api_keys.revoked_at IS NULL
       AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())));

-- name: touch_session
-- Note that a session was used, and with it its key. A loss harms nobody: no need to wait for the
-- disk.
WITH seen AS (
    UPDATE sessions SET seen_at = now()
    WHERE digest = %(digest)s
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    RETURNING key
)
UPDATE api_keys SET last_used_at = now() FROM seen WHERE api_keys.prefix = seen.key;

-- name: list_sessions
-- Open sessions, the newest first, from just below `before`; what is NULL does not matter.
SELECT sessions.id, sessions.tenant, principal, sessions.key, issuer,
       coalesce(api_keys.scopes, sessions.scopes) AS scopes,
       coalesce(api_keys.patterns, sessions.patterns) AS patterns, began_at, seen_at,
       least(ends_at, seen_at + %(idle)s::double precision * interval '1 second',
             api_keys.expires_at) AS ends_at
FROM sessions LEFT JOIN api_keys ON api_keys.prefix = sessions.key
WHERE (%(tenant)s::text IS NULL OR sessions.tenant = %(tenant)s)
  AND (%(principal)s::text IS NULL OR principal = %(principal)s)
  AND (%(before)s::uuid IS NULL OR sessions.id < %(before)s)
  AND ends_at > now() AND seen_at > now() - %(idle)s::double precision * interval '1 second'
  AND (sessions.key IS NULL OR (api_keys.prefix IS NOT NULL AND api_keys.revoked_at IS NULL
       AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())))
ORDER BY sessions.id DESC LIMIT %(limit)s;

-- name: end_session
-- End the session of a browser. No row: there is none.
DELETE FROM sessions WHERE digest = %(digest)s RETURNING id, tenant, principal;

-- name: end_sessions
-- End those that are meant; what is NULL does not matter.
DELETE FROM sessions
WHERE (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
  AND (%(principal)s::text IS NULL OR principal = %(principal)s)
  AND (%(id)s::uuid IS NULL OR id = %(id)s)
RETURNING id, tenant, principal;

-- name: forget_sessions
-- Remove sessions that are over, some at once.
DELETE FROM sessions WHERE digest IN (
    SELECT digest FROM sessions
    WHERE ends_at <= now() OR seen_at <= now() - %(idle)s::double precision * interval '1 second'
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED);
