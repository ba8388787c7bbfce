-- reverse: create index "tenant_former_slugs_tenant_id_idx" to table: "tenant_former_slugs"
DROP INDEX "tenant_former_slugs_tenant_id_idx";
-- reverse: create "tenant_former_slugs" table
DROP TABLE "tenant_former_slugs";
