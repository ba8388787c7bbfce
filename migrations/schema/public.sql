-- The desired state of the schema "public": what the product knows across
-- tenants. Everything of one tenant's business lives in tenant.sql.
-- Change this file, then let Atlas plan the migration; never edit an applied one.

-- The registry: one row for each tenant. Owned by modules/tenancy, but for
-- schema_version and schema_fingerprint, which platform/migrate writes in the
-- transaction that moves the tenant's schema.
CREATE TABLE tenants (
    id                 text        NOT NULL, -- the organization's id at the identity provider, case-sensitive
    name               text        NOT NULL,
    slug               text        NOT NULL, -- how URLs name the tenant
    requested_slug     text        NOT NULL DEFAULT '', -- the slug the organization asked for; differs from slug when that was taken or reserved
    schema_name        text        NOT NULL, -- derived once from the id, never changes
    image_url          text        NOT NULL DEFAULT '',
    projects_public    boolean     NOT NULL DEFAULT false, -- whether a new project is public unless its maker says otherwise
    is_active          boolean     NOT NULL DEFAULT true,
    schema_version     text        NOT NULL DEFAULT '',
    schema_fingerprint text        NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    suspended_at       timestamptz,
    deleted_at         timestamptz, -- when the organization was deleted; the purge counts from here
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_id_check CHECK (id <> ''),
    CONSTRAINT tenants_schema_name_check CHECK (schema_name ~ '^tenant_[a-z0-9_]+$')
);
CREATE UNIQUE INDEX tenants_slug_key ON tenants (slug);
CREATE UNIQUE INDEX tenants_schema_name_key ON tenants (schema_name);
CREATE INDEX tenants_requested_slug_idx ON tenants (requested_slug, created_at, id);
CREATE INDEX tenants_schema_version_idx ON tenants (schema_version);

-- Slugs that tenants had before, owned by modules/tenancy: their members are led
-- from there to where the tenant is now. Nothing is reserved by it: a slug that a
-- tenant takes is in this table no more.
CREATE TABLE tenant_former_slugs (
    slug       text        NOT NULL,
    tenant_id  text        NOT NULL,
    retired_at timestamptz NOT NULL,
    CONSTRAINT tenant_former_slugs_pkey PRIMARY KEY (slug),
    CONSTRAINT tenant_former_slugs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX tenant_former_slugs_tenant_id_idx ON tenant_former_slugs (tenant_id, retired_at);

-- The directory: what the identity provider last said, one row for each thing
-- it ever named. A deleted thing keeps its row, so that an event that was
-- overtaken by the deletion cannot bring it back. Owned by modules/identity.
-- There are no foreign keys: events arrive in any order.
CREATE TABLE directory_accounts (
    id                text        NOT NULL,
    email             text        NOT NULL DEFAULT '',
    first_name        text        NOT NULL DEFAULT '',
    last_name         text        NOT NULL DEFAULT '',
    avatar_url        text        NOT NULL DEFAULT '',
    phone             text        NOT NULL DEFAULT '',
    two_factor        boolean     NOT NULL DEFAULT false, -- signing in takes a second factor
    is_stub           boolean     NOT NULL, -- known from a membership's summary alone
    created_at        timestamptz NOT NULL,
    source_updated_at timestamptz NOT NULL,
    deleted_at        timestamptz,
    CONSTRAINT directory_accounts_pkey PRIMARY KEY (id)
);

CREATE TABLE directory_organizations (
    id                text        NOT NULL,
    name              text        NOT NULL DEFAULT '',
    slug              text        NOT NULL DEFAULT '',
    image_url         text        NOT NULL DEFAULT '',
    created_by        text        NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL,
    source_updated_at timestamptz NOT NULL,
    deleted_at        timestamptz,
    CONSTRAINT directory_organizations_pkey PRIMARY KEY (id)
);

CREATE TABLE directory_memberships (
    id                text        NOT NULL,
    organization_id   text        NOT NULL DEFAULT '',
    account_id        text        NOT NULL DEFAULT '',
    role              text        NOT NULL DEFAULT '', -- the provider's role key, such as org:admin
    created_at        timestamptz NOT NULL,
    source_updated_at timestamptz NOT NULL,
    deleted_at        timestamptz,
    CONSTRAINT directory_memberships_pkey PRIMARY KEY (id)
);
CREATE INDEX directory_memberships_organization_idx ON directory_memberships (organization_id, account_id);
CREATE INDEX directory_memberships_account_idx ON directory_memberships (account_id, organization_id);

-- Ownership is the product's own fact, which the identity provider does not
-- know: who was made an owner, or ceased to be one, by a decision taken here.
CREATE TABLE directory_ownerships (
    organization_id text        NOT NULL,
    account_id      text        NOT NULL,
    is_owner        boolean     NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT now(),
    membership_id   text        NOT NULL DEFAULT '', -- the membership that it was decided on; '' is whichever they have
    CONSTRAINT directory_ownerships_pkey PRIMARY KEY (organization_id, account_id)
);

-- The ledger of reconciliations with the identity provider, owned by
-- modules/identity. At most one is not finished.
CREATE TABLE directory_reconciliations (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    worker        text        NOT NULL, -- the process that walks; once another is named here, it stops
    started_at    timestamptz NOT NULL,
    heartbeat_at  timestamptz NOT NULL, -- when the worker last lived
    finished_at   timestamptz,
    cursor        text        NOT NULL DEFAULT '', -- the organization that was done last; they are walked in the order of their ids
    organizations integer     NOT NULL DEFAULT 0, -- how many were done
    repaired      integer     NOT NULL DEFAULT 0, -- how much drift was found and repaired
    remaining     integer     NOT NULL DEFAULT 0, -- and how much was not
    CONSTRAINT directory_reconciliations_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX directory_reconciliations_unfinished_key ON directory_reconciliations ((finished_at IS NULL)) WHERE finished_at IS NULL;

-- The webhook inbox: every event as it was received, keyed by the delivery's
-- stable id, so that a repetition is a no-op. It is the worker's queue too.
CREATE TABLE webhook_inbox (
    id              text        NOT NULL, -- the svix-id
    type            text        NOT NULL,
    payload         json        NOT NULL, -- as it was signed; jsonb would refuse some of it
    state           text        NOT NULL DEFAULT 'pending',
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text        NOT NULL DEFAULT '',
    occurred_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CONSTRAINT webhook_inbox_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_inbox_state_check CHECK (state IN ('pending', 'applied', 'ignored', 'dead'))
);
CREATE INDEX webhook_inbox_pending_idx ON webhook_inbox (next_attempt_at, received_at) WHERE state = 'pending';
CREATE INDEX webhook_inbox_dead_idx ON webhook_inbox (received_at) WHERE state = 'dead';
CREATE INDEX webhook_inbox_received_idx ON webhook_inbox (received_at DESC, id);

-- The ledger of the migrations over the fleet, owned by platform/migrate: one
-- row for each run, and one for each tenant that a run is about. A tenant's row
-- is written in the transaction that moves the tenant's schema, so it is true
-- whatever was killed when.
CREATE TABLE migration_runs (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    kind            text        NOT NULL, -- which way the tenants go
    target          text        NOT NULL, -- the version they go to; '' when each goes back to where it came from
    arguments       text        NOT NULL DEFAULT '', -- how the tenants were chosen, as on the command line
    only_names      text[]      NOT NULL DEFAULT '{}', -- slugs, ids or schemas; empty is everybody
    except_names    text[]      NOT NULL DEFAULT '{}',
    state           text        NOT NULL DEFAULT 'running',
    reason          text        NOT NULL DEFAULT '', -- why it is in that state
    worker          text        NOT NULL, -- the process that works on it; once another is named here, it stops
    pause_requested boolean     NOT NULL DEFAULT false,
    started_at      timestamptz NOT NULL DEFAULT now(),
    heartbeat_at    timestamptz NOT NULL DEFAULT now(), -- when the worker last lived
    finished_at     timestamptz,
    CONSTRAINT migration_runs_pkey PRIMARY KEY (id),
    CONSTRAINT migration_runs_kind_check CHECK (kind IN ('up', 'down')),
    CONSTRAINT migration_runs_state_check CHECK (state IN ('running', 'paused', 'finished', 'superseded'))
);
CREATE INDEX migration_runs_unfinished_idx ON migration_runs (id) WHERE finished_at IS NULL;

CREATE TABLE migration_run_tenants (
    run_id       bigint           NOT NULL,
    schema_name  text             NOT NULL,
    wave         integer          NOT NULL, -- 0 is the canary
    from_version text             NOT NULL,
    to_version   text             NOT NULL,
    state        text             NOT NULL DEFAULT 'pending',
    attempts     integer          NOT NULL DEFAULT 0,
    error        text             NOT NULL DEFAULT '',
    duration     double precision NOT NULL DEFAULT 0, -- seconds of the last attempt
    finished_at  timestamptz,
    CONSTRAINT migration_run_tenants_pkey PRIMARY KEY (run_id, schema_name),
    CONSTRAINT migration_run_tenants_run_id_fkey FOREIGN KEY (run_id) REFERENCES migration_runs (id) ON DELETE CASCADE,
    CONSTRAINT migration_run_tenants_state_check CHECK (state IN ('pending', 'applied', 'failed', 'skipped'))
);
CREATE INDEX migration_run_tenants_failed_idx ON migration_run_tenants (schema_name, run_id) WHERE state = 'failed';

-- Idempotency keys, owned by platform/idempotency: what was answered to a
-- person's request in a tenant ('' outside of tenants), for as long as it may
-- be asked again. A key whose request still runs has no status yet.
CREATE TABLE idempotency_keys (
    tenant_id   text        NOT NULL,
    account_id  text        NOT NULL,
    key         text        NOT NULL,
    claim       text        NOT NULL, -- the run that holds the key; no other may finish it
    fingerprint bytea       NOT NULL, -- of the request, so that another one under the same key is noticed
    status      integer     NOT NULL DEFAULT 0,
    header      json        NOT NULL DEFAULT '{}',
    body        bytea       NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL, -- when the key is free again
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, account_id, key)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

-- The index of API keys, owned by modules/apikeys: what decides about a request
-- with a key, which has to be found before its tenant is known. What is not here
-- is not valid.
CREATE TABLE api_key_index (
    id           text        NOT NULL, -- the part of the key that is no secret
    tenant_id    text        NOT NULL,
    account_id   text        NOT NULL, -- whoever made it, for whom it stands
    hash         bytea       NOT NULL, -- SHA-256 of the whole key
    permissions  text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz, -- to within minutes
    CONSTRAINT api_key_index_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_index_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT api_key_index_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX api_key_index_tenant_id_idx ON api_key_index (tenant_id);

-- The tenants' audit logs (see tenant.sql) are written here, by functions that all
-- tenants share: CREATE TRIGGER looks its function up by name among those of all
-- schemas. Nobody but the owner may call them: each is told which tenant's log it is
-- to write.

-- audit_append adds an entry: its place in the chain, and whom the statement's message
-- named as its origin; without one it is whoever is logged in.
CREATE FUNCTION audit_append(schema_name text, action text, subject text, label text, changes json) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
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
-- from one row to another. arguments are those of audit_change.
CREATE FUNCTION audit_record(schema_name text, operation text, before jsonb, after jsonb, arguments text[]) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
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
CREATE FUNCTION audit_tenant() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass(quote_ident(NEW.schema_name) || '.audit_log') IS NOT NULL THEN
        PERFORM public.audit_record(NEW.schema_name, TG_OP, to_jsonb(OLD), to_jsonb(NEW), '[0:4]={organization,id,"",
            id requested_slug schema_name schema_version schema_fingerprint created_at updated_at suspended_at,name}');
    END IF;
    RETURN NULL;
END $$;

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
REVOKE ALL ON FUNCTION audit_append, audit_record, audit_tenant, audit_change, audit_guard FROM PUBLIC;

CREATE CONSTRAINT TRIGGER tenants_audit_created AFTER INSERT ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_tenant();
CREATE CONSTRAINT TRIGGER tenants_audit_updated AFTER UPDATE ON tenants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((OLD.name, OLD.slug, OLD.image_url, OLD.projects_public, OLD.is_active, OLD.deleted_at) IS DISTINCT FROM
        (NEW.name, NEW.slug, NEW.image_url, NEW.projects_public, NEW.is_active, NEW.deleted_at))
    EXECUTE FUNCTION audit_tenant();
