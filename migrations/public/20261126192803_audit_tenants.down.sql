-- reverse: create trigger "tenants_audit_updated"
DROP TRIGGER "tenants_audit_updated" ON "tenants";
-- reverse: create trigger "tenants_audit_created"
DROP TRIGGER "tenants_audit_created" ON "tenants";
-- reverse: create function "audit_tenant"
DROP FUNCTION "audit_tenant"();
-- reverse: create function "audit_record"
DROP FUNCTION "audit_record"(text, text, jsonb, jsonb, text[]);
-- reverse: create function "audit_append"
DROP FUNCTION "audit_append"(text, text, text, text, json);
