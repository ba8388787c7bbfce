ALTER FUNCTION "audit_tenant" RESET search_path;
ALTER FUNCTION "audit_record" RESET search_path;
ALTER FUNCTION "audit_append" RESET search_path;
