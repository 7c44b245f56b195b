-- Webhook endpoints.

-- name: insert_webhook
-- A new endpoint.
INSERT INTO webhooks (id, tenant, url, events, description, secret)
VALUES (%(id)s, %(tenant)s, %(url)s, %(events)s, %(description)s, %(secret)s)
RETURNING id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
          former_until;

-- name: list_webhooks
-- All endpoints of a tenant, the oldest first.
SELECT id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
       former_until
FROM webhooks WHERE tenant = %(tenant)s ORDER BY id;

-- name: enabled_webhooks
-- Whom changes are told, of all tenants.
SELECT id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
       former_until
FROM webhooks WHERE disabled_at IS NULL ORDER BY id;

-- name: get_webhook
-- One endpoint.
SELECT id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
       former_until
FROM webhooks WHERE id = %(id)s AND tenant = %(tenant)s;

-- name: change_webhook
-- Change what is given. What happened while it was disabled is not its own.
UPDATE webhooks SET
    url = coalesce(%(url)s, url),
    events = coalesce(%(events)s::text[], events),
    description = coalesce(%(description)s, description),
    enabled_at = CASE WHEN disabled_at IS NOT NULL AND NOT %(disabled)s THEN now()
                      ELSE enabled_at END,
    disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now())
                       WHEN NOT %(disabled)s THEN NULL ELSE disabled_at END,
    disabled_because = CASE WHEN %(disabled)s THEN coalesce(disabled_because, 'by request')
                            WHEN NOT %(disabled)s THEN NULL ELSE disabled_because END
WHERE id = %(id)s AND tenant = %(tenant)s
RETURNING id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
          former_until;

-- name: disable_webhook
-- Send nothing more to an endpoint, unless it is disabled already.
UPDATE webhooks SET disabled_at = now(), disabled_because = %(reason)s
WHERE id = %(id)s AND disabled_at IS NULL
RETURNING id;

-- name: rotate_secret
-- Another secret; the former one signs as well for a while.
UPDATE webhooks SET former_secret = secret, secret = %(secret)s,
                    former_until = now() + %(overlap)s * interval '1 second'
WHERE id = %(id)s AND tenant = %(tenant)s
RETURNING id, tenant, url, events, description, created_at, enabled_at, disabled_at, disabled_because,
          former_until;

-- name: delete_webhook
-- Remove an endpoint, with what is on its way to it.
DELETE FROM webhooks WHERE id = %(id)s AND tenant = %(tenant)s RETURNING id;
