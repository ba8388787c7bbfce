-- write the tenants' audit logs
-- The tenants' audit logs (see tenant.sql) are written here. Nobody but the owner may
-- call these: each is told which tenant's log it is to write.

-- audit_append adds an entry: its place in the chain, and whom the statement's message
-- named as its origin; without one it is whoever is logged in.
CREATE FUNCTION audit_append(schema_name text, action text, subject text, label text, changes json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    origin  json := coalesce(nullif(current_setting('tenon.origin', true), ''), '{}');
    at      timestamptz;
    fields  text[];
    last    record;
    hash    bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tenon.audit:' || schema_name, 0));
    EXECUTE format('SELECT seq, hash FROM (SELECT seq, hash FROM %1$I.audit_log UNION ALL SELECT seq, hash FROM %1$I.audit_anchors) known
        ORDER BY seq DESC LIMIT 1', schema_name) INTO last;
    at := clock_timestamp();
    fields := ARRAY[(coalesce(last.seq, 0) + 1)::text, (extract(epoch FROM at) * 1000000)::bigint::text, coalesce(origin ->> 'kind', 'database'),
        coalesce(origin ->> 'actor', session_user), coalesce(origin ->> 'api_key', ''), coalesce(origin ->> 'ip', ''),
        coalesce(origin ->> 'request_id', ''), action, subject, label, changes::text];
    SELECT sha256(coalesce(last.hash, '') || convert_to(string_agg(octet_length(field) || ':' || field, ',' ORDER BY n), 'UTF8'))
        INTO hash FROM unnest(fields) WITH ORDINALITY AS listed (field, n);
    EXECUTE format('INSERT INTO %I.audit_log (seq, at, actor_kind, actor, api_key, ip, request_id, action, subject, label, changes, hash)
        VALUES ($1[1]::bigint, $2, $1[3], $1[4], $1[5], $1[6], $1[7], $1[8], $1[9], $1[10], $3, $4)', schema_name) USING fields, at, changes, hash;
END $$;

-- audit_record adds an entry about a row that is not what it was. It is called when
-- the transaction ends: the chain is locked then, and not while others wait for rows.
-- An update that only empties personal columns is the first half of moving an address
-- from one row to another. arguments are those of audit_change in tenant.sql.
CREATE FUNCTION audit_record(schema_name text, operation text, before jsonb, after jsonb, arguments text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    personal text[] := string_to_array(arguments[2], ' ');
    ignored  text[] := string_to_array(arguments[3], ' ');
    present  jsonb  := coalesce(after, before);
    changes  json;
    emptied  boolean;
BEGIN
    before := coalesce(before, '{}');
    after := coalesce(after, '{}');
    SELECT json_object_agg(key, CASE
            WHEN key = ANY (personal) THEN '{}'::json
            WHEN operation = 'INSERT' THEN json_build_object('after', after -> key)
            WHEN operation = 'DELETE' THEN json_build_object('before', before -> key)
            ELSE json_build_object('before', before -> key, 'after', after -> key) END ORDER BY key COLLATE "C"),
        bool_and(key = ANY (personal) AND coalesce(after ->> key, '') = '')
        INTO changes, emptied
        FROM jsonb_object_keys(before || after) AS key
        WHERE before -> key IS DISTINCT FROM after -> key AND key <> ALL (ignored) AND (operation = 'UPDATE' OR key <> ALL (personal));
    IF changes IS NULL OR operation = 'UPDATE' AND emptied THEN
        RETURN;
    END IF;
    PERFORM public.audit_append(schema_name, arguments[0] || CASE operation WHEN 'INSERT' THEN '.created' WHEN 'UPDATE' THEN '.updated' ELSE '.deleted' END,
        present ->> arguments[1], coalesce(present ->> nullif(arguments[4], ''), ''), changes);
END $$;

-- audit_tenant records what changes about a tenant in the tenant's own log. A schema
-- that has none yet, in the middle of a rollout, is left alone.
CREATE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(quote_ident(NEW.schema_name) || '.audit_log') IS NOT NULL THEN
        PERFORM public.audit_record(NEW.schema_name, TG_OP, to_jsonb(OLD), to_jsonb(NEW), '[0:4]={organization,id,"",
            id requested_slug schema_name schema_version schema_fingerprint created_at updated_at suspended_at,name}');
    END IF;
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION audit_append, audit_record, audit_tenant FROM PUBLIC;

CREATE CONSTRAINT TRIGGER tenants_audit_created AFTER INSERT ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_tenant();
CREATE CONSTRAINT TRIGGER tenants_audit_updated AFTER UPDATE ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.slug, OLD.image_url, OLD.is_active, OLD.deleted_at) IS DISTINCT FROM
        (NEW.name, NEW.slug, NEW.image_url, NEW.is_active, NEW.deleted_at))
    EXECUTE FUNCTION audit_tenant();
