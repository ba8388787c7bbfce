-- create "api_keys" table
CREATE TABLE "api_keys" ("id" text NOT NULL, "name" text NOT NULL, "permissions" text[] NOT NULL, "created_by" text NOT NULL, "created_at" timestamptz NOT NULL, "expires_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "api_keys_created_by_fkey" FOREIGN KEY ("created_by") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "api_keys_created_by_idx" to table: "api_keys"
CREATE INDEX "api_keys_created_by_idx" ON "api_keys" ("created_by");
