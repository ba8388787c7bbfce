-- PostgreSQL refuses this for as long as a tenant's trigger calls them.
-- reverse: create function "audit_guard"
DROP FUNCTION "audit_guard"();
-- reverse: create function "audit_change"
DROP FUNCTION "audit_change"();
