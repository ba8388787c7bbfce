-- create "users" table
CREATE TABLE "users" (
  "id" text NOT NULL,
  "email" text NOT NULL DEFAULT '',
  "first_name" text NOT NULL DEFAULT '',
  "last_name" text NOT NULL DEFAULT '',
  "avatar_url" text NOT NULL DEFAULT '',
  "phone" text NOT NULL DEFAULT '',
  "role" text NOT NULL,
  "metadata" jsonb NOT NULL DEFAULT '{}',
  "is_active" boolean NOT NULL DEFAULT true,
  "last_seen_at" timestamptz NULL,
  "joined_at" timestamptz NOT NULL DEFAULT now(),
  "created_at" timestamptz NOT NULL DEFAULT now(),
  "updated_at" timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY ("id"),
  CONSTRAINT "users_role_check" CHECK (role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'viewer'::text]))
);
-- create index "users_email_key" to table: "users"
CREATE UNIQUE INDEX "users_email_key" ON "users" ((lower(email))) WHERE (is_active AND (email <> ''::text));
-- create "projects" table
CREATE TABLE "projects" (
  "id" bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  "name" text NOT NULL,
  "slug" text NOT NULL,
  "description" text NOT NULL DEFAULT '',
  "created_by" text NOT NULL,
  "is_public" boolean NOT NULL DEFAULT false,
  "status" text NOT NULL DEFAULT 'active',
  "created_at" timestamptz NOT NULL DEFAULT now(),
  "updated_at" timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY ("id"),
  CONSTRAINT "projects_created_by_fkey" FOREIGN KEY ("created_by") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION,
  CONSTRAINT "projects_name_check" CHECK (name <> ''::text),
  CONSTRAINT "projects_status_check" CHECK (status = ANY (ARRAY['active'::text, 'archived'::text]))
);
-- create index "projects_created_at_idx" to table: "projects"
CREATE INDEX "projects_created_at_idx" ON "projects" ("created_at" DESC, "id" DESC);
-- create index "projects_created_by_idx" to table: "projects"
CREATE INDEX "projects_created_by_idx" ON "projects" ("created_by");
-- create index "projects_slug_key" to table: "projects"
CREATE UNIQUE INDEX "projects_slug_key" ON "projects" ("slug");
