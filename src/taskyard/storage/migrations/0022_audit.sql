-- Who did what. Each entry of a tenant holds the hash of the one before: what is changed, taken out
-- or moved later on breaks the chain from there on. Entries are made here, whoever asks for them.

CREATE TABLE audit_log (
    tenant   text COLLATE "C" NOT NULL,
    seq      bigint NOT NULL,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    action   text NOT NULL,
    target   text NOT NULL,
    detail   json NOT NULL,        -- kept letter by letter, as jsonb would not
    previous bytea NOT NULL,
    hash     bytea NOT NULL,       -- SHA-256 over `previous` and the rest; core/audit.py says how
    PRIMARY KEY (tenant, seq)
);

-- Numbers and hashes an entry. The lock lasts until the end of the transaction: who records does so
-- last, and waits for others of the same tenant no longer than their commit takes.
CREATE FUNCTION chain_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part text;
    entry bytea := '';
BEGIN
    PERFORM pg_advisory_xact_lock(x'7A5C0022'::integer, hashtext(NEW.tenant));
    SELECT seq + 1, hash INTO NEW.seq, NEW.previous
    FROM audit_log WHERE tenant = NEW.tenant ORDER BY seq DESC LIMIT 1;
    NEW.seq := coalesce(NEW.seq, 1);
    NEW.previous := coalesce(NEW.previous, decode(repeat('00', 32), 'hex'));
    NEW.at := clock_timestamp();
    FOREACH part IN ARRAY ARRAY[
        NEW.tenant, NEW.seq::text, (extract(epoch FROM NEW.at) * 1000000)::bigint::text,
        NEW.actor, NEW.action, NEW.target, NEW.detail::text] LOOP
        entry := entry || convert_to(octet_length(convert_to(part, 'UTF8')) || ':', 'UTF8')
                       || convert_to(part, 'UTF8') || ','::bytea;
    END LOOP;
    NEW.hash := sha256(NEW.previous || entry);
    RETURN NEW;
END $$;
CREATE TRIGGER audit_log_is_chained BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION chain_audit_entry();

CREATE FUNCTION refuse_to_change_the_past() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_is_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_past();

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON audit_log TO taskyard_system USING (true);
CREATE POLICY own ON audit_log TO taskyard_tenant
    USING (tenant = (SELECT current_setting('taskyard.tenant')));
REVOKE ALL ON audit_log FROM taskyard_tenant, taskyard_system;
GRANT SELECT, INSERT ON audit_log TO taskyard_tenant, taskyard_system;
