-- reverse: create index "webhook_inbox_received_idx" to table: "webhook_inbox"
DROP INDEX "webhook_inbox_received_idx";
-- reverse: create index "webhook_inbox_pending_idx" to table: "webhook_inbox"
DROP INDEX "webhook_inbox_pending_idx";
-- reverse: create "webhook_inbox" table
DROP TABLE "webhook_inbox";
-- reverse: create index "tenants_slug_key" to table: "tenants"
DROP INDEX "tenants_slug_key";
-- reverse: create index "tenants_schema_version_idx" to table: "tenants"
DROP INDEX "tenants_schema_version_idx";
-- reverse: create index "tenants_schema_name_key" to table: "tenants"
DROP INDEX "tenants_schema_name_key";
-- reverse: create index "tenants_requested_slug_idx" to table: "tenants"
DROP INDEX "tenants_requested_slug_idx";
-- reverse: create "tenants" table
DROP TABLE "tenants";
-- reverse: create "directory_ownerships" table
DROP TABLE "directory_ownerships";
-- reverse: create "directory_organizations" table
DROP TABLE "directory_organizations";
-- reverse: create index "directory_memberships_organization_idx" to table: "directory_memberships"
DROP INDEX "directory_memberships_organization_idx";
-- reverse: create index "directory_memberships_account_idx" to table: "directory_memberships"
DROP INDEX "directory_memberships_account_idx";
-- reverse: create "directory_memberships" table
DROP TABLE "directory_memberships";
-- reverse: create "directory_accounts" table
DROP TABLE "directory_accounts";
