-- reverse: the audit log has it, too
DROP TRIGGER "tenants_audit_updated" ON "tenants";
CREATE CONSTRAINT TRIGGER "tenants_audit_updated" AFTER UPDATE ON "tenants" DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.slug, OLD.image_url, OLD.is_active, OLD.deleted_at) IS DISTINCT FROM
        (NEW.name, NEW.slug, NEW.image_url, NEW.is_active, NEW.deleted_at))
    EXECUTE FUNCTION "audit_tenant"();
-- reverse: modify "tenants" table
ALTER TABLE "tenants" DROP COLUMN "projects_public";
