-- create "directory_accounts" table
CREATE TABLE "directory_accounts" (
  "id" text NOT NULL,
  "email" text NOT NULL DEFAULT '',
  "first_name" text NOT NULL DEFAULT '',
  "last_name" text NOT NULL DEFAULT '',
  "avatar_url" text NOT NULL DEFAULT '',
  "phone" text NOT NULL DEFAULT '',
  "is_stub" boolean NOT NULL,
  "created_at" timestamptz NOT NULL,
  "source_updated_at" timestamptz NOT NULL,
  "deleted_at" timestamptz NULL,
  PRIMARY KEY ("id")
);
-- create "directory_memberships" table
CREATE TABLE "directory_memberships" (
  "id" text NOT NULL,
  "organization_id" text NOT NULL DEFAULT '',
  "account_id" text NOT NULL DEFAULT '',
  "role" text NOT NULL DEFAULT '',
  "created_at" timestamptz NOT NULL,
  "source_updated_at" timestamptz NOT NULL,
  "deleted_at" timestamptz NULL,
  PRIMARY KEY ("id")
);
-- create index "directory_memberships_account_idx" to table: "directory_memberships"
CREATE INDEX "directory_memberships_account_idx" ON "directory_memberships" ("account_id", "organization_id");
-- create index "directory_memberships_organization_idx" to table: "directory_memberships"
CREATE INDEX "directory_memberships_organization_idx" ON "directory_memberships" ("organization_id", "account_id");
-- create "directory_organizations" table
CREATE TABLE "directory_organizations" (
  "id" text NOT NULL,
  "name" text NOT NULL DEFAULT '',
  "slug" text NOT NULL DEFAULT '',
  "image_url" text NOT NULL DEFAULT '',
  "created_by" text NOT NULL DEFAULT '',
  "created_at" timestamptz NOT NULL,
  "source_updated_at" timestamptz NOT NULL,
  "deleted_at" timestamptz NULL,
  PRIMARY KEY ("id")
);
-- create "directory_ownerships" table
CREATE TABLE "directory_ownerships" (
  "organization_id" text NOT NULL,
  "account_id" text NOT NULL,
  "is_owner" boolean NOT NULL,
  "decided_at" timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY ("organization_id", "account_id")
);
-- create "tenants" table
CREATE TABLE "tenants" (
  "id" text NOT NULL,
  "name" text NOT NULL,
  "slug" text NOT NULL,
  "requested_slug" text NOT NULL DEFAULT '',
  "schema_name" text NOT NULL,
  "image_url" text NOT NULL DEFAULT '',
  "is_active" boolean NOT NULL DEFAULT true,
  "schema_version" text NOT NULL DEFAULT '',
  "schema_fingerprint" text NOT NULL DEFAULT '',
  "created_at" timestamptz NOT NULL DEFAULT now(),
  "updated_at" timestamptz NOT NULL DEFAULT now(),
  "suspended_at" timestamptz NULL,
  "deleted_at" timestamptz NULL,
  PRIMARY KEY ("id"),
  CONSTRAINT "tenants_id_check" CHECK (id <> ''::text),
  CONSTRAINT "tenants_schema_name_check" CHECK (schema_name ~ '^tenant_[a-z0-9_]+$'::text)
);
-- create index "tenants_requested_slug_idx" to table: "tenants"
CREATE INDEX "tenants_requested_slug_idx" ON "tenants" ("requested_slug", "created_at", "id");
-- create index "tenants_schema_name_key" to table: "tenants"
CREATE UNIQUE INDEX "tenants_schema_name_key" ON "tenants" ("schema_name");
-- create index "tenants_schema_version_idx" to table: "tenants"
CREATE INDEX "tenants_schema_version_idx" ON "tenants" ("schema_version");
-- create index "tenants_slug_key" to table: "tenants"
CREATE UNIQUE INDEX "tenants_slug_key" ON "tenants" ("slug");
-- create "webhook_inbox" table
CREATE TABLE "webhook_inbox" (
  "id" text NOT NULL,
  "type" text NOT NULL,
  "payload" json NOT NULL,
  "state" text NOT NULL DEFAULT 'pending',
  "attempts" integer NOT NULL DEFAULT 0,
  "last_error" text NOT NULL DEFAULT '',
  "occurred_at" timestamptz NOT NULL,
  "received_at" timestamptz NOT NULL DEFAULT now(),
  "next_attempt_at" timestamptz NOT NULL DEFAULT now(),
  "finished_at" timestamptz NULL,
  PRIMARY KEY ("id"),
  CONSTRAINT "webhook_inbox_state_check" CHECK (state = ANY (ARRAY['pending'::text, 'applied'::text, 'ignored'::text, 'dead'::text]))
);
-- create index "webhook_inbox_pending_idx" to table: "webhook_inbox"
CREATE INDEX "webhook_inbox_pending_idx" ON "webhook_inbox" ("next_attempt_at", "received_at") WHERE (state = 'pending'::text);
-- create index "webhook_inbox_received_idx" to table: "webhook_inbox"
CREATE INDEX "webhook_inbox_received_idx" ON "webhook_inbox" ("received_at" DESC, "id");
