-- The desired state of every tenant's schema. Names are unqualified: which
-- tenant's schema they land in is decided when they are applied.
-- Nothing here refers to "public": a tenant's schema has to be able to move to
-- another database node by itself.
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
