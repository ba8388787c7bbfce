-- create "directory_reconciliations" table
CREATE TABLE "directory_reconciliations" ("id" bigint NOT NULL GENERATED ALWAYS AS IDENTITY, "worker" text NOT NULL, "started_at" timestamptz NOT NULL, "heartbeat_at" timestamptz NOT NULL, "finished_at" timestamptz NULL, "cursor" text NOT NULL DEFAULT '', "organizations" integer NOT NULL DEFAULT 0, "repaired" integer NOT NULL DEFAULT 0, "remaining" integer NOT NULL DEFAULT 0, PRIMARY KEY ("id"));
-- create index "directory_reconciliations_unfinished_key" to table: "directory_reconciliations"
CREATE UNIQUE INDEX "directory_reconciliations_unfinished_key" ON "directory_reconciliations" (((finished_at IS NULL))) WHERE (finished_at IS NULL);
