-- create index "webhook_inbox_dead_idx" to table: "webhook_inbox"
CREATE INDEX "webhook_inbox_dead_idx" ON "webhook_inbox" ("received_at") WHERE (state = 'dead'::text);
