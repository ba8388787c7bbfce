-- create "audit_anchors" table
CREATE TABLE "audit_anchors" ("seq" bigint NOT NULL, "hash" bytea NOT NULL, "cut_at" timestamptz NOT NULL, "public_key" bytea NOT NULL, "signature" bytea NOT NULL, PRIMARY KEY ("seq"));
-- create "audit_log" table
CREATE TABLE "audit_log" ("seq" bigint NOT NULL DEFAULT 0, "at" timestamptz NOT NULL DEFAULT now(), "actor_kind" text NOT NULL DEFAULT '', "actor" text NOT NULL DEFAULT '', "api_key" text NOT NULL DEFAULT '', "ip" text NOT NULL DEFAULT '', "request_id" text NOT NULL DEFAULT '', "action" text NOT NULL, "subject" text NOT NULL, "label" text NOT NULL DEFAULT '', "changes" json NOT NULL, "hash" bytea NOT NULL DEFAULT '\x', PRIMARY KEY ("seq"));
-- create index "audit_log_actor_idx" to table: "audit_log"
CREATE INDEX "audit_log_actor_idx" ON "audit_log" ("actor", "seq");
-- create index "audit_log_subject_idx" to table: "audit_log"
CREATE INDEX "audit_log_subject_idx" ON "audit_log" ("subject", "seq");
-- audit_change(kind, id column, personal columns, ignored columns, name column)
-- records a change of a row. It runs when the transaction ends: the chain is locked then,
-- and not while others wait for rows. An update that only empties personal columns
-- is the first half of moving an address from one row to another.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before   jsonb  := coalesce(to_jsonb(OLD), '{}');
    after    jsonb  := coalesce(to_jsonb(NEW), '{}');
    personal text[] := string_to_array(TG_ARGV[2], ' ');
    changes  json;
    emptied  boolean;
BEGIN
    SELECT json_object_agg(key, CASE
            WHEN key = ANY (personal) THEN '{}'::json
            WHEN TG_OP = 'INSERT' THEN json_build_object('after', after -> key)
            WHEN TG_OP = 'DELETE' THEN json_build_object('before', before -> key)
            ELSE json_build_object('before', before -> key, 'after', after -> key) END ORDER BY key COLLATE "C"),
        bool_and(key = ANY (personal) AND coalesce(after ->> key, '') = '')
        INTO changes, emptied
        FROM jsonb_object_keys(before || after) AS key
        WHERE before -> key IS DISTINCT FROM after -> key AND key <> ALL (string_to_array(TG_ARGV[3], ' '))
            AND (TG_OP = 'UPDATE' OR key <> ALL (personal));
    IF changes IS NULL OR TG_OP = 'UPDATE' AND emptied THEN
        RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %I.audit_log (action, subject, label, changes) VALUES ($1, $2, $3, $4)', TG_TABLE_SCHEMA) USING
        TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.created' WHEN 'UPDATE' THEN '.updated' ELSE '.deleted' END,
        before || after ->> TG_ARGV[1], coalesce(before || after ->> nullif(TG_ARGV[4], ''), ''), changes;
    RETURN NULL;
END $$;

-- audit_seal completes an entry: its place in the chain, and whom the statement's
-- message named as its origin; without one it is whoever is logged in.
CREATE FUNCTION audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin json := coalesce(nullif(current_setting('tenon.origin', true), ''), '{}');
    last   record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tenon.audit:' || TG_TABLE_SCHEMA, 0));
    EXECUTE format('SELECT seq, hash FROM (SELECT seq, hash FROM %1$I.audit_log UNION ALL SELECT seq, hash FROM %1$I.audit_anchors) known
        ORDER BY seq DESC LIMIT 1', TG_TABLE_SCHEMA) INTO last;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.at := clock_timestamp();
    NEW.actor_kind := coalesce(origin ->> 'kind', 'database');
    NEW.actor := coalesce(origin ->> 'actor', session_user);
    NEW.api_key := coalesce(origin ->> 'api_key', '');
    NEW.ip := coalesce(origin ->> 'ip', '');
    NEW.request_id := coalesce(origin ->> 'request_id', '');
    SELECT sha256(coalesce(last.hash, '') || convert_to(string_agg(octet_length(field) || ':' || field, ',' ORDER BY n), 'UTF8'))
        INTO NEW.hash
        FROM unnest(ARRAY[NEW.seq::text, (extract(epoch FROM NEW.at) * 1000000)::bigint::text, NEW.actor_kind, NEW.actor, NEW.api_key,
            NEW.ip, NEW.request_id, NEW.action, NEW.subject, NEW.label, NEW.changes::text]) WITH ORDINALITY AS fields (field, n);
    RETURN NEW;
END $$;

-- audit_guard keeps what is written. Entries that an anchor covers may be cut off.
CREATE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER audit_log_seal BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_seal();
CREATE TRIGGER audit_log_guard BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_log_guard_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_anchors_guard BEFORE UPDATE OR DELETE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION audit_guard();
CREATE TRIGGER audit_anchors_guard_all BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();

-- Every table above is audited; a test of modules/audit sees to it.
CREATE CONSTRAINT TRIGGER users_audit AFTER INSERT OR UPDATE OR DELETE ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('member', 'id', 'email first_name last_name avatar_url phone metadata', 'id created_at updated_at last_seen_at', '');
CREATE CONSTRAINT TRIGGER projects_audit AFTER INSERT OR UPDATE OR DELETE ON projects DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('project', 'id', '', 'id created_at updated_at', 'name');
CREATE CONSTRAINT TRIGGER api_keys_audit AFTER INSERT OR UPDATE OR DELETE ON api_keys DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_change('api_key', 'id', '', 'id created_at', 'name');
