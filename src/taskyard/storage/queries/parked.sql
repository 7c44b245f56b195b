-- The statements on parked events.

-- name: park
-- Keep what arrived, with the reason; what is parked already gets the new reason.
INSERT INTO parked_events (key, tenant, reason, detail, source, id, type, content_type, content_encoding,
                           user_id, attributes, body, size)
SELECT key, tenant, reason, detail, source, id, type, content_type, content_encoding,
       user_id, attributes::jsonb, body, size
FROM unnest(%(keys)s::uuid[], %(tenants)s::text[], %(reasons)s::text[],
            %(details)s::text[], %(sources)s::text[],
            %(ids)s::text[], %(types)s::text[], %(content_types)s::text[],
            %(content_encodings)s::text[], %(user_ids)s::text[], %(attributes)s::text[],
            %(bodies)s::bytea[], %(sizes)s::integer[])
    AS given (key, tenant, reason, detail, source, id, type, content_type, content_encoding,
              user_id, attributes, body, size)
ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, detail = excluded.detail;

-- name: list_parked
-- One page, newest first, with the event where it could be read.
SELECT key, parked_events.tenant, parked_at, parked_events.reason, detail, parked_events.source, parked_events.id,
       parked_events.type, content_type, content_encoding, user_id, attributes,
       -- What is sealed opens only whole.
       CASE WHEN starts_with(encode(substr(body, 1, 11), 'escape'), '{"$sealed":') THEN body
            ELSE substr(body, 1, %(shown)s) END AS body,
       size, replays, document, generation, tasks
FROM parked_events LEFT JOIN inbox_events USING (key)
WHERE parked_events.tenant = %(tenant)s
  AND (%(below)s::uuid IS NULL OR key < %(below)s)
  AND (%(since)s::uuid IS NULL OR key >= %(since)s)
  AND (%(until)s::uuid IS NULL OR key < %(until)s)
  AND (%(reason)s::text IS NULL OR parked_events.reason = %(reason)s)
  AND (%(source)s::text IS NULL OR parked_events.source = %(source)s)
  AND (%(matching)s::text IS NULL OR parked_events.type || '.' ~ %(matching)s)
ORDER BY key DESC
LIMIT %(limit)s;

-- name: take_parked
-- The next parked events, the oldest first, kept from others until the transaction ends.
SELECT key, parked_events.tenant, parked_at, parked_events.reason, detail, parked_events.source, parked_events.id,
       parked_events.type, content_type, content_encoding, user_id, attributes,
       body, size, replays, document, generation, tasks
FROM parked_events LEFT JOIN inbox_events USING (key)
WHERE parked_events.tenant = %(tenant)s AND key > %(after)s
  AND (%(key)s::uuid IS NULL OR key = %(key)s)
  AND (%(since)s::uuid IS NULL OR key >= %(since)s)
  AND (%(until)s::uuid IS NULL OR key < %(until)s)
  AND (%(reason)s::text IS NULL OR parked_events.reason = %(reason)s)
  AND (%(source)s::text IS NULL OR parked_events.source = %(source)s)
  AND (%(matching)s::text IS NULL OR parked_events.type || '.' ~ %(matching)s)
ORDER BY key
LIMIT %(limit)s
FOR UPDATE OF parked_events SKIP LOCKED;

-- name: still_parked
-- They were replayed in vain: say why, now.
UPDATE parked_events SET replays = replays + 1, reason = given.reason, detail = given.detail
FROM unnest(%(keys)s::uuid[], %(reasons)s::text[], %(details)s::text[])
    AS given (key, reason, detail)
WHERE parked_events.key = given.key;

-- name: unpark
-- They wait no longer.
DELETE FROM parked_events WHERE key = ANY (%(keys)s);
