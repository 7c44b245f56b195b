-- Dead letters: listed newest first, grouped by what went wrong, replayed oldest first.

CREATE INDEX tasks_dead_letters ON tasks (id) WHERE state IN ('failed', 'expired', 'quarantined');

-- What a message says without its values, so that the same fault is one group: what stands in
-- quotes becomes "…", and each UUID, hexadecimal word and number becomes #. The first 500
-- characters count. An apostrophe within a word (can't) opens no quotes.
CREATE FUNCTION message_shape(message text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(left(message, 500),
        '(^|[^[:alnum:]])(?:''[^'']*''|"[^"]*"|`[^`]*`)', '\1"…"', 'g'),
        '\m(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{8,})\M',
        '#', 'gi'),
        '(?:#|[0-9]+)(?:[.,:](?:#|[0-9]+))*', '#', 'g')
$$;
