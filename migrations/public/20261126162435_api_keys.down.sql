-- reverse: create index "api_key_index_tenant_id_idx" to table: "api_key_index"
DROP INDEX "api_key_index_tenant_id_idx";
-- reverse: create "api_key_index" table
DROP TABLE "api_key_index";
