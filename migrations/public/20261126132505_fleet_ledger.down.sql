-- reverse: create index "migration_run_tenants_failed_idx" to table: "migration_run_tenants"
DROP INDEX "migration_run_tenants_failed_idx";
-- reverse: create "migration_run_tenants" table
DROP TABLE "migration_run_tenants";
-- reverse: create index "migration_runs_unfinished_idx" to table: "migration_runs"
DROP INDEX "migration_runs_unfinished_idx";
-- reverse: create "migration_runs" table
DROP TABLE "migration_runs";
