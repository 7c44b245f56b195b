-- What the dispatcher and the quotas keep of tenants is for nobody to see on a tenant's behalf.

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['tenant_shares', 'tenant_usage', 'line_turns'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY everything ON %I TO taskyard_system USING (true)', table_name);
    END LOOP;
END $$;
