-- reverse: create index "webhook_inbox_dead_idx" to table: "webhook_inbox"
DROP INDEX "webhook_inbox_dead_idx";
