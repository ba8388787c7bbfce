-- reverse: create index "directory_reconciliations_unfinished_key" to table: "directory_reconciliations"
DROP INDEX "directory_reconciliations_unfinished_key";
-- reverse: create "directory_reconciliations" table
DROP TABLE "directory_reconciliations";
