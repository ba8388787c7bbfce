-- reverse: create index "api_keys_created_by_idx" to table: "api_keys"
DROP INDEX "api_keys_created_by_idx";
-- reverse: create "api_keys" table
DROP TABLE "api_keys";
