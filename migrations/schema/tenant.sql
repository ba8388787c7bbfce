-- The desired state of every tenant's schema. Names are unqualified: which
-- tenant's schema they land in is decided when they are applied.
-- No table here refers to one in public: a tenant's schema has to be able to move to
-- another database node by itself. The triggers' functions are in public, on every
-- node, and come there before the triggers.
-- Change this file, then let Atlas plan the migration; never edit an applied one.

-- The tenant's people. Rows are never deleted: who left is inactive, who was
-- deleted is anonymised, and what they made keeps its author.
-- Owned by modules/identity.
CREATE TABLE users (
    id           text        NOT NULL, -- the account's id at the identity provider, case-sensitive
    email        text        NOT NULL DEFAULT '',
    first_name   text        NOT NULL DEFAULT '',
    last_name    text        NOT NULL DEFAULT '',
    avatar_url   text        NOT NULL DEFAULT '',
    phone        text        NOT NULL DEFAULT '',
    role         text        NOT NULL,
    metadata     jsonb       NOT NULL DEFAULT '{}',
    is_active    boolean     NOT NULL DEFAULT true,
    last_seen_at timestamptz,
    joined_at    timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_role_check CHECK (role IN ('owner', 'admin', 'member', 'viewer'))
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE is_active AND email <> '';

-- Owned by modules/projects.
CREATE TABLE projects (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    name        text        NOT NULL,
    slug        text        NOT NULL, -- how URLs name the project
    description text        NOT NULL DEFAULT '',
    created_by  text        NOT NULL,
    is_public   boolean     NOT NULL DEFAULT false, -- shown to viewers too
    status      text        NOT NULL DEFAULT 'active',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT projects_pkey PRIMARY KEY (id),
    CONSTRAINT projects_name_check CHECK (name <> ''),
    CONSTRAINT projects_status_check CHECK (status IN ('active', 'archived')),
    CONSTRAINT projects_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id)
);
CREATE UNIQUE INDEX projects_slug_key ON projects (slug);
CREATE INDEX projects_created_by_idx ON projects (created_by);
CREATE INDEX projects_created_at_idx ON projects (created_at DESC, id DESC);

-- What people know about API keys; what makes them valid is in the index beside
-- the registry. Owned by modules/apikeys.
CREATE TABLE api_keys (
    id          text        NOT NULL, -- the part of the key that is no secret
    name        text        NOT NULL,
    permissions text[]      NOT NULL,
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id)
);
CREATE INDEX api_keys_created_by_idx ON api_keys (created_by);

-- Who changed what, from where, and what it was before and after: one entry for
-- each row that was changed, written by triggers in the transaction of
-- the change, so that no program and nobody with psql can do the one without the
-- other. Entries form a chain: each one's hash is over it and the hash of the one
-- before. It names people by id alone, so that erasing somebody's row in "users"
-- erases them here too. Read by modules/audit.
CREATE TABLE audit_log (
    seq        bigint      NOT NULL, -- 1, 2, 3 and so on, without a gap
    at         timestamptz NOT NULL, -- when the transaction ended
    actor_kind text        NOT NULL, -- see platform/origin
    actor      text        NOT NULL, -- who of that kind: the account, the event, the command's user
    api_key    text        NOT NULL, -- the key that acted for the account
    ip         text        NOT NULL,
    request_id text        NOT NULL,
    action     text        NOT NULL, -- such as project.updated
    subject    text        NOT NULL, -- the id of what was changed
    label      text        NOT NULL, -- what that was called then; '' for people
    changes    json        NOT NULL, -- {"column": {"before": …, "after": …}}; {} for what is personal
    hash       bytea       NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (seq)
);
CREATE INDEX audit_log_subject_idx ON audit_log (subject, seq);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, seq);
CREATE INDEX audit_log_at_idx ON audit_log USING brin (at); -- entries lie in the order of time

-- Where the log was cut: the entries up to seq are gone, and hash was the last
-- one's. The signature, which the database cannot make, says that this was meant.
CREATE TABLE audit_anchors (
    seq        bigint      NOT NULL,
    hash       bytea       NOT NULL,
    cut_at     timestamptz NOT NULL,
    public_key bytea       NOT NULL, -- Ed25519, of whoever signed
    signature  bytea       NOT NULL,
    CONSTRAINT audit_anchors_pkey PRIMARY KEY (seq)
);

-- What the triggers call is in public.sql, with what its arguments mean.
CREATE TRIGGER audit_log_guard BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION public.audit_guard();
CREATE TRIGGER audit_log_guard_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.audit_guard();
CREATE TRIGGER audit_anchors_guard BEFORE UPDATE OR DELETE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION public.audit_guard();
CREATE TRIGGER audit_anchors_guard_all BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION public.audit_guard();

-- Every table above is audited; a test of modules/audit sees to it.
CREATE CONSTRAINT TRIGGER users_audit AFTER INSERT OR UPDATE OR DELETE ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('member', 'id', 'email first_name last_name avatar_url phone metadata', 'id created_at updated_at last_seen_at', '');
CREATE CONSTRAINT TRIGGER projects_audit AFTER INSERT OR UPDATE OR DELETE ON projects DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('project', 'id', '', 'id created_at updated_at', 'name');
CREATE CONSTRAINT TRIGGER api_keys_audit AFTER INSERT OR UPDATE OR DELETE ON api_keys DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.audit_change('api_key', 'id', '', 'id created_at', 'name');
