-- The second wall between tenants. The first is that every statement on behalf of a caller names its
-- tenant; should one forget to, this shows it nobody else's rows.
--
-- Transactions of callers take the role taskyard_tenant and name their tenant. Whoever dispatches,
-- works and cleans up for all is a member of taskyard_system, as is whoever applies this.

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['taskyard_tenant', 'taskyard_system'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            END IF;
            IF NOT pg_has_role(current_user, role_name, 'MEMBER') THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
            END IF;
        EXCEPTION
            -- Another database of this server is being prepared at the same time.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role % is missing, and % may not make it', role_name, current_user
                    USING HINT = format('as a superuser, run: CREATE ROLE %1$I NOLOGIN; '
                                        'GRANT %1$I TO %2$I;', role_name, current_user);
        END;
    END LOOP;
END $$;

DO $$
DECLARE
    table_name text;
    whose      text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'tasks', 'task_events', 'task_logs', 'task_memos', 'idempotency_keys', 'webhooks',
        'webhook_deliveries', 'inbox_events', 'parked_events'] LOOP
        -- Keys that rules make have a namespace of their own, `<tenant>#rules`.
        whose := CASE table_name WHEN 'idempotency_keys' THEN $q$split_part(tenant, '#', 1)$q$
                                 ELSE 'tenant' END;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY everything ON %I TO taskyard_system USING (true)', table_name);
        -- Without a tenant the setting is missing, and that is an error: it fails closed.
        EXECUTE format(
            'CREATE POLICY own ON %I TO taskyard_tenant '
            'USING (%s = (SELECT current_setting(''taskyard.tenant'')))', table_name, whose);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO taskyard_tenant', table_name);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO taskyard_tenant, taskyard_system', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I '
                   'TO taskyard_system', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I '
                   'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO taskyard_system',
                   current_schema());
END $$;

-- A tenant's dead letters, however many others have.
DROP INDEX tasks_dead_letters;
CREATE INDEX tasks_dead_letters ON tasks (tenant, id)
    WHERE state IN ('failed', 'expired', 'quarantined');

-- What callers may read of what belongs to nobody.
GRANT SELECT ON task_types, tenants TO taskyard_tenant;

-- The same source may send the same id to two tenants.
ALTER TABLE inbox_events DROP CONSTRAINT inbox_events_once;
ALTER TABLE inbox_events ADD CONSTRAINT inbox_events_once UNIQUE (tenant, source, id);
