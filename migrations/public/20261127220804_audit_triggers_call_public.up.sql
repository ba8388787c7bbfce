-- audit_change(kind, id column, personal columns, ignored columns, name column)
-- records a change of a row: the triggers of the tenants' tables call it. It runs by
-- its owner's rights, since a tenant's own role may not write the log. PostgreSQL
-- compiles a trigger's function anew for each table that has it, and keeps that for as
-- long as a connection lives; so there is one call in it.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.audit_record(TG_TABLE_SCHEMA, TG_OP, to_jsonb(OLD), to_jsonb(NEW), TG_ARGV);
    RETURN NULL;
END $$;

-- audit_guard keeps what is written. Entries that an anchor covers may be cut off.
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    covered boolean := false;
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_log' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.audit_anchors WHERE seq >= $1)', TG_TABLE_SCHEMA) INTO covered USING OLD.seq;
    END IF;
    IF NOT covered THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;

-- Whoever may not call a function may not make a trigger of it either: a role that could
-- would have the owner write into a temporary table of the role's own making.
REVOKE ALL ON FUNCTION audit_change, audit_guard FROM PUBLIC;
