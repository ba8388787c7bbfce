-- modify "tenants" table
ALTER TABLE "tenants" ADD COLUMN "projects_public" boolean NOT NULL DEFAULT false;
-- the audit log has it, too
DROP TRIGGER "tenants_audit_updated" ON "tenants";
CREATE CONSTRAINT TRIGGER "tenants_audit_updated" AFTER UPDATE ON "tenants" DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.slug, OLD.image_url, OLD.projects_public, OLD.is_active, OLD.deleted_at) IS DISTINCT FROM
        (NEW.name, NEW.slug, NEW.image_url, NEW.projects_public, NEW.is_active, NEW.deleted_at))
    EXECUTE FUNCTION "audit_tenant"();
