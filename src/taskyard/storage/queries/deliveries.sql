-- Deliveries: what is on its way to webhook endpoints, and what became of it.

-- name: insert_deliveries
-- What is to be sent, once for each change and target.
INSERT INTO webhook_deliveries (
    id, tenant, webhook_id, url, endpoint, task_id, seq, event, body)
SELECT given.* FROM unnest(%(ids)s::uuid[], %(tenants)s::text[], %(webhook_ids)s::uuid[], %(urls)s::text[],
                           %(endpoints)s::text[], %(task_ids)s::uuid[], %(seqs)s::integer[],
                           %(events)s::text[], %(bodies)s::text[])
    AS given (id, tenant, webhook_id, url, endpoint, task_id, seq, event, body)
-- An endpoint that was removed meanwhile wants nothing any more.
WHERE webhook_id IS NULL OR EXISTS (SELECT FROM webhooks WHERE id = webhook_id FOR KEY SHARE)
ON CONFLICT DO NOTHING;

-- name: take_deliveries
-- Take what is due, fairly: some of each endpoint, and no more of one than may be under way at once.
-- Endpoints are walked over the index, one step each, however much waits for one of them; what waits
-- for a disabled one is not looked at.
WITH RECURSIVE endpoints AS (
    (SELECT endpoint FROM webhook_deliveries WHERE state = 'pending' ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT later.endpoint FROM webhook_deliveries AS later
            WHERE later.state = 'pending' AND later.endpoint > endpoints.endpoint
            ORDER BY later.endpoint LIMIT 1)
    FROM endpoints WHERE endpoints.endpoint IS NOT NULL
), chosen AS (
    SELECT due.id FROM endpoints
    LEFT JOIN webhooks AS hook ON hook.id::text = endpoints.endpoint
    CROSS JOIN LATERAL (
        SELECT id FROM webhook_deliveries AS waiting
        WHERE waiting.state = 'pending' AND waiting.endpoint = endpoints.endpoint
          AND next_try_at <= now() AND leased_until < now()
        ORDER BY next_try_at
        LIMIT greatest(0, %(most_at_once)s - (
            SELECT count(*) FROM webhook_deliveries AS leased
            WHERE leased.lease_token IS NOT NULL AND leased.leased_until > now()
              AND leased.endpoint = endpoints.endpoint))
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE hook.disabled_at IS NULL
    LIMIT %(limit)s
)
UPDATE webhook_deliveries AS delivery
SET lease_token = %(token)s, leased_until = now() + %(lease)s * interval '1 second'
FROM chosen
JOIN webhook_deliveries AS taken USING (id)
LEFT JOIN webhooks AS webhook ON webhook.id = taken.webhook_id
WHERE delivery.id = chosen.id
RETURNING delivery.id, delivery.tenant, delivery.webhook_id, coalesce(webhook.url, delivery.url) AS url,
          delivery.body, delivery.attempts, webhook.secret,
          CASE WHEN webhook.former_until > now() THEN webhook.former_secret END AS former_secret,
          delivery.event, delivery.task_id,
          (SELECT traceparent FROM tasks WHERE tasks.id = delivery.task_id) AS traceparent,
          (SELECT tracestate FROM tasks WHERE tasks.id = delivery.task_id) AS tracestate;

-- name: finish_delivery
-- What an attempt came to. No row: its lease ran out and another has it.
UPDATE webhook_deliveries SET
    state = %(state)s, attempts = attempts + 1, lease_token = NULL, leased_until = '-infinity',
    next_try_at = CASE WHEN %(state)s = 'pending'
                       THEN now() + %(delay)s::double precision * interval '1 second' END,
    finished_at = CASE WHEN %(state)s <> 'pending' THEN now() END,
    tried_at = now(), response_status = %(status)s, response_body = %(body)s, fault = %(fault)s
WHERE id = %(id)s AND lease_token = %(token)s
RETURNING id;

-- name: list_deliveries
-- One page of what was sent to an endpoint, newest first.
SELECT id, tenant, task_id, seq, event, state, attempts, created_at, next_try_at, tried_at, finished_at,
       response_status, response_body, fault
FROM webhook_deliveries
WHERE webhook_id = %(webhook_id)s AND tenant = %(tenant)s
  AND (%(before)s::uuid IS NULL OR id < %(before)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: get_delivery
-- One as the log shows it.
SELECT id, tenant, task_id, seq, event, state, attempts, created_at, next_try_at, tried_at, finished_at,
       response_status, response_body, fault
FROM webhook_deliveries
WHERE id = %(id)s AND webhook_id = %(webhook_id)s AND tenant = %(tenant)s;

-- name: replay_delivery
-- Send once more, with the whole schedule before it. No row: there is none, or it is being sent.
UPDATE webhook_deliveries SET
    state = 'pending', attempts = 0, next_try_at = now(), finished_at = NULL, fault = NULL
WHERE id = %(id)s AND webhook_id = %(webhook_id)s AND tenant = %(tenant)s
RETURNING id, tenant, task_id, seq, event, state, attempts, created_at, next_try_at, tried_at, finished_at,
          response_status, response_body, fault;

-- name: forget_deliveries
-- Remove what ended long ago. A removal that a crash undoes is done again.
WITH old AS (
    SELECT id FROM webhook_deliveries
    WHERE state <> 'pending' AND finished_at < now() - %(kept)s * interval '1 second'
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_deliveries USING old WHERE webhook_deliveries.id = old.id
RETURNING webhook_deliveries.id;
