-- reverse: create index "idempotency_keys_expires_at_idx" to table: "idempotency_keys"
DROP INDEX "idempotency_keys_expires_at_idx";
-- reverse: create "idempotency_keys" table
DROP TABLE "idempotency_keys";
