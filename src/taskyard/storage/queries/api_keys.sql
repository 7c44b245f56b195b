-- API keys.

-- name: insert_key
-- A new key, and its tenant if that is new.
WITH known AS (
    INSERT INTO tenants (name) VALUES (%(tenant)s) ON CONFLICT (name) DO NOTHING
)
INSERT INTO api_keys (prefix, tenant, digest, name, scopes, patterns, created_by, expires_at)
VALUES (%(prefix)s, %(tenant)s, %(digest)s, %(name)s, %(scopes)s, %(patterns)s, %(created_by)s,
        now() + %(lives)s::double precision * interval '1 second')
RETURNING prefix, tenant, name, scopes, patterns, created_at, created_by, expires_at, revoked_at,
          last_used_at;

-- name: find_key
-- A key that is valid now, with its digest and for how many seconds it is, if that is bounded.
SELECT prefix, tenant, digest, scopes, patterns,
       extract(epoch FROM expires_at - now())::double precision AS seconds_left
FROM api_keys
WHERE prefix = %(prefix)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: touch_key
-- Note that a key was used, once a minute. A loss harms nobody: no need to wait for the disk.
UPDATE api_keys SET last_used_at = now()
WHERE prefix = %(prefix)s AND coalesce(last_used_at < now() - interval '1 minute', true)
  AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL;

-- name: list_keys
-- All keys, or those of one tenant, the oldest first.
SELECT prefix, tenant, name, scopes, patterns, created_at, created_by, expires_at, revoked_at,
       last_used_at
FROM api_keys
WHERE %(tenant)s::text IS NULL OR tenant = %(tenant)s
ORDER BY tenant, created_at, prefix;

-- name: hold_key
-- A key that is valid now, kept from others until the transaction ends.
SELECT prefix, tenant, name, scopes, patterns, created_at, created_by, expires_at, revoked_at,
       last_used_at
FROM api_keys
WHERE prefix = %(prefix)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
FOR UPDATE;

-- name: revoke_key
-- From now on, or after some seconds, a key is not valid. No row: there is none that is.
UPDATE api_keys SET
    revoked_at = CASE WHEN %(overlap)s > 0 THEN NULL ELSE now() END,
    expires_at = CASE WHEN %(overlap)s > 0
        THEN least(expires_at, now() + %(overlap)s * interval '1 second') ELSE expires_at END
WHERE prefix = %(prefix)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
RETURNING prefix, tenant, name, scopes, patterns, created_at, created_by, expires_at, revoked_at,
          last_used_at;
