-- create "idempotency_keys" table
CREATE TABLE "idempotency_keys" ("tenant_id" text NOT NULL, "account_id" text NOT NULL, "key" text NOT NULL, "claim" text NOT NULL, "fingerprint" bytea NOT NULL, "status" integer NOT NULL DEFAULT 0, "header" json NOT NULL DEFAULT '{}', "body" bytea NOT NULL DEFAULT '\x', "created_at" timestamptz NOT NULL DEFAULT now(), "expires_at" timestamptz NOT NULL, PRIMARY KEY ("tenant_id", "account_id", "key"));
-- create index "idempotency_keys_expires_at_idx" to table: "idempotency_keys"
CREATE INDEX "idempotency_keys_expires_at_idx" ON "idempotency_keys" ("expires_at");
