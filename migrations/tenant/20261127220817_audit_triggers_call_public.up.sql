-- CREATE TRIGGER looks its function up by name among those of all schemas, and every
-- tenant had these two. All of this is one transaction: there is no moment at which a
-- change is not recorded. Tables are locked in the order in which requests lock them,
-- the log last.
DROP TRIGGER "projects_audit" ON "projects";
CREATE CONSTRAINT TRIGGER projects_audit AFTER INSERT OR UPDATE OR DELETE ON projects DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('project', 'id', '', 'id created_at updated_at', 'name');
DROP TRIGGER "api_keys_audit" ON "api_keys";
CREATE CONSTRAINT TRIGGER api_keys_audit AFTER INSERT OR UPDATE OR DELETE ON api_keys DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('api_key', 'id', '', 'id created_at', 'name');
DROP TRIGGER "users_audit" ON "users";
CREATE CONSTRAINT TRIGGER users_audit AFTER INSERT OR UPDATE OR DELETE ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('member', 'id', 'email first_name last_name avatar_url phone metadata', 'id created_at updated_at last_seen_at', '');
DROP TRIGGER "audit_log_guard" ON "audit_log";
CREATE TRIGGER audit_log_guard BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION public.audit_guard();
DROP TRIGGER "audit_log_guard_all" ON "audit_log";
CREATE TRIGGER audit_log_guard_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.audit_guard();
DROP TRIGGER "audit_anchors_guard" ON "audit_anchors";
CREATE TRIGGER audit_anchors_guard BEFORE UPDATE OR DELETE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION public.audit_guard();
DROP TRIGGER "audit_anchors_guard_all" ON "audit_anchors";
CREATE TRIGGER audit_anchors_guard_all BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION public.audit_guard();
DROP FUNCTION "audit_guard"();
DROP FUNCTION "audit_change"();
