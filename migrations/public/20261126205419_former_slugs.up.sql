-- create "tenant_former_slugs" table
CREATE TABLE "tenant_former_slugs" ("slug" text NOT NULL, "tenant_id" text NOT NULL, "retired_at" timestamptz NOT NULL, PRIMARY KEY ("slug"), CONSTRAINT "tenant_former_slugs_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants" ("id") ON UPDATE NO ACTION ON DELETE CASCADE);
-- create index "tenant_former_slugs_tenant_id_idx" to table: "tenant_former_slugs"
CREATE INDEX "tenant_former_slugs_tenant_id_idx" ON "tenant_former_slugs" ("tenant_id", "retired_at");
