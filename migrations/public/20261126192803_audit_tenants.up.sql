-- record what changes about tenants in their audit logs
CREATE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before  jsonb := coalesce(to_jsonb(OLD), '{}');
    after   jsonb := to_jsonb(NEW);
    changes json;
BEGIN
    SELECT json_object_agg(key, CASE
            WHEN TG_OP = 'INSERT' THEN json_build_object('after', after -> key)
            ELSE json_build_object('before', before -> key, 'after', after -> key) END ORDER BY key COLLATE "C")
        INTO changes
        FROM unnest(ARRAY['name', 'slug', 'image_url', 'is_active', 'deleted_at']) AS key
        WHERE before -> key IS DISTINCT FROM after -> key;
    IF changes IS NOT NULL AND to_regclass(quote_ident(NEW.schema_name) || '.audit_log') IS NOT NULL THEN
        EXECUTE format('INSERT INTO %I.audit_log (action, subject, label, changes) VALUES ($1, $2, $3, $4)', NEW.schema_name) USING
            'organization.' || CASE TG_OP WHEN 'INSERT' THEN 'created' ELSE 'updated' END, NEW.id, NEW.name, changes;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tenants_audit_created AFTER INSERT ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_tenant();
CREATE CONSTRAINT TRIGGER tenants_audit_updated AFTER UPDATE ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.slug, OLD.image_url, OLD.is_active, OLD.deleted_at) IS DISTINCT FROM
        (NEW.name, NEW.slug, NEW.image_url, NEW.is_active, NEW.deleted_at))
    EXECUTE FUNCTION audit_tenant();
