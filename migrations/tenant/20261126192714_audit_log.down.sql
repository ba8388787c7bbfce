-- reverse: create trigger "api_keys_audit"
DROP TRIGGER "api_keys_audit" ON "api_keys";
-- reverse: create trigger "projects_audit"
DROP TRIGGER "projects_audit" ON "projects";
-- reverse: create trigger "users_audit"
DROP TRIGGER "users_audit" ON "users";
-- reverse: create index "audit_log_subject_idx" to table: "audit_log"
DROP INDEX "audit_log_subject_idx";
-- reverse: create index "audit_log_at_idx" to table: "audit_log"
DROP INDEX "audit_log_at_idx";
-- reverse: create index "audit_log_actor_idx" to table: "audit_log"
DROP INDEX "audit_log_actor_idx";
-- reverse: create "audit_log" table
DROP TABLE "audit_log";
-- reverse: create "audit_anchors" table
DROP TABLE "audit_anchors";
-- reverse: create function "audit_guard"
DROP FUNCTION "audit_guard"();
-- reverse: create function "audit_change"
DROP FUNCTION "audit_change"();
