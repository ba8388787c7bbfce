-- PostgreSQL plans a function's expressions anew for each path that it is called under,
-- and the path is another one for each tenant.
ALTER FUNCTION "audit_append" SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION "audit_record" SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION "audit_tenant" SET search_path = pg_catalog, pg_temp;
