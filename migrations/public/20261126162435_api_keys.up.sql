-- create "api_key_index" table
CREATE TABLE "api_key_index" ("id" text NOT NULL, "tenant_id" text NOT NULL, "account_id" text NOT NULL, "hash" bytea NOT NULL, "permissions" text[] NOT NULL, "created_at" timestamptz NOT NULL, "expires_at" timestamptz NOT NULL, "last_used_at" timestamptz NULL, PRIMARY KEY ("id"), CONSTRAINT "api_key_index_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants" ("id") ON UPDATE NO ACTION ON DELETE CASCADE, CONSTRAINT "api_key_index_hash_check" CHECK (octet_length(hash) = 32));
-- create index "api_key_index_tenant_id_idx" to table: "api_key_index"
CREATE INDEX "api_key_index_tenant_id_idx" ON "api_key_index" ("tenant_id");
