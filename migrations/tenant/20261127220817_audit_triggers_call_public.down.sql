-- The tenant has functions of its own again.

-- audit_change(kind, id column, personal columns, ignored columns, name column)
-- records a change of a row. What it does is in public, which is where all tenants
-- share it: PostgreSQL compiles a trigger's function anew for each table that has it,
-- and keeps that for as long as a connection lives. It runs by the owner's rights,
-- since the tenant's own role may not write here.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM public.audit_record(TG_TABLE_SCHEMA, TG_OP, to_jsonb(OLD), to_jsonb(NEW), TG_ARGV);
    RETURN NULL;
END $$;

-- audit_guard keeps what is written. Entries that an anchor covers may be cut off.
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    covered boolean := false;
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_log' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.audit_anchors WHERE seq >= $1)', TG_TABLE_SCHEMA) INTO covered USING OLD.seq;
    END IF;
    IF NOT covered THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
REVOKE ALL ON FUNCTION audit_change, audit_guard FROM PUBLIC; -- see public.sql

DROP TRIGGER "projects_audit" ON "projects";
CREATE CONSTRAINT TRIGGER projects_audit AFTER INSERT OR UPDATE OR DELETE ON projects DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('project', 'id', '', 'id created_at updated_at', 'name');
DROP TRIGGER "api_keys_audit" ON "api_keys";
CREATE CONSTRAINT TRIGGER api_keys_audit AFTER INSERT OR UPDATE OR DELETE ON api_keys DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('api_key', 'id', '', 'id created_at', 'name');
DROP TRIGGER "users_audit" ON "users";
CREATE CONSTRAINT TRIGGER users_audit AFTER INSERT OR UPDATE OR DELETE ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('member', 'id', 'email first_name last_name avatar_url phone metadata', 'id created_at updated_at last_seen_at', '');
DROP TRIGGER "audit_log_guard" ON "audit_log";
CREATE TRIGGER audit_log_guard BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_guard();
DROP TRIGGER "audit_log_guard_all" ON "audit_log";
CREATE TRIGGER audit_log_guard_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
DROP TRIGGER "audit_anchors_guard" ON "audit_anchors";
CREATE TRIGGER audit_anchors_guard BEFORE UPDATE OR DELETE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION audit_guard();
DROP TRIGGER "audit_anchors_guard_all" ON "audit_anchors";
CREATE TRIGGER audit_anchors_guard_all BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
