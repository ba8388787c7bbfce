-- reverse: create index "projects_slug_key" to table: "projects"
DROP INDEX "projects_slug_key";
-- reverse: create index "projects_created_by_idx" to table: "projects"
DROP INDEX "projects_created_by_idx";
-- reverse: create index "projects_created_at_idx" to table: "projects"
DROP INDEX "projects_created_at_idx";
-- reverse: create "projects" table
DROP TABLE "projects";
-- reverse: create index "users_email_key" to table: "users"
DROP INDEX "users_email_key";
-- reverse: create "users" table
DROP TABLE "users";
