-- Which key sealed a value: see core/sealed.py. Null: it is plain. Text and bytes hold the same form.

CREATE FUNCTION sealed_with(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value -> '$sealed') = 'string'
                THEN split_part(left(value ->> '$sealed', 40), '.', 2) END
$$;

CREATE FUNCTION sealed_with(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN starts_with(value, '{"$sealed":"')
                THEN split_part(left(value, 60), '.', 2) END
$$;

CREATE FUNCTION sealed_with(value bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT sealed_with(encode(substr(value, 1, 60), 'escape'))
$$;
