// Package bunrepo keeps the registry of tenants in PostgreSQL, in the table
// "tenants" of the schema public.
package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

var _ tenancy.Registry = (*Registry)(nil)

// Registry implements [tenancy.Registry]. Changes are announced with the change.
type Registry struct {
	db       bun.IDB
	announce func(context.Context, tenant.Schema) error
}

// NewRegistry returns a registry over the handle for public tables.
func NewRegistry(db *database.DB) *Registry {
	return &Registry{db: db.Registry(), announce: db.Announce}
}

type tenantRow struct {
	bun.BaseModel `bun:"table:tenants,alias:t"`

	ID             string    `bun:"id,pk"`
	Name           string    `bun:"name"`
	Slug           string    `bun:"slug"`
	RequestedSlug  string    `bun:"requested_slug"`
	SchemaName     string    `bun:"schema_name"`
	SchemaVersion  string    `bun:"schema_version"`
	ImageURL       string    `bun:"image_url"`
	ProjectsPublic bool      `bun:"projects_public"`
	IsActive       bool      `bun:"is_active"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
	SuspendedAt    time.Time `bun:"suspended_at,nullzero"`
	DeletedAt      time.Time `bun:"deleted_at,nullzero"`
}

func rowOf(t tenancy.Tenant) *tenantRow {
	return &tenantRow{
		ID:             t.ID,
		Name:           t.Name,
		Slug:           t.Slug.String(),
		RequestedSlug:  t.RequestedSlug,
		SchemaName:     t.Schema.String(),
		ImageURL:       t.ImageURL,
		ProjectsPublic: t.ProjectsPublic,
		IsActive:       t.Active,
		CreatedAt:      t.CreatedAt,
		UpdatedAt:      t.UpdatedAt,
		SuspendedAt:    t.SuspendedAt,
		DeletedAt:      t.DeletedAt,
	}
}

func (row *tenantRow) tenant() (tenancy.Tenant, error) {
	slug, err := tenancy.ParseGivenSlug(row.Slug)
	if err != nil {
		return tenancy.Tenant{}, fault.New(fault.Internal, "").WithCause(err)
	}
	schema, err := tenant.Parse(row.SchemaName)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	return tenancy.Tenant{
		ID:             row.ID,
		Name:           row.Name,
		Slug:           slug,
		RequestedSlug:  row.RequestedSlug,
		Schema:         schema,
		SchemaVersion:  row.SchemaVersion,
		ImageURL:       row.ImageURL,
		ProjectsPublic: row.ProjectsPublic,
		Active:         row.IsActive,
		CreatedAt:      row.CreatedAt,
		UpdatedAt:      row.UpdatedAt,
		SuspendedAt:    row.SuspendedAt,
		DeletedAt:      row.DeletedAt,
	}, nil
}

// BySlug implements [tenancy.Registry].
func (r *Registry) BySlug(ctx context.Context, slug tenancy.Slug) (tenancy.Tenant, error) {
	return r.first(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("slug = ?", slug.String()) })
}

// ByFormerSlug implements [tenancy.Registry].
func (r *Registry) ByFormerSlug(ctx context.Context, slug tenancy.Slug) (tenancy.Tenant, error) {
	return r.first(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("id = (SELECT tenant_id FROM tenant_former_slugs WHERE slug = ?)", slug.String())
	})
}

// ByID implements [tenancy.Registry].
func (r *Registry) ByID(ctx context.Context, id string) (tenancy.Tenant, error) {
	return r.first(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("id = ?", id) })
}

// Waiting implements [tenancy.Registry].
func (r *Registry) Waiting(ctx context.Context, slug string) (tenancy.Tenant, error) {
	return r.first(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("requested_slug = ?", slug).Where("slug <> requested_slug").Where("deleted_at IS NULL")
	})
}

func (r *Registry) first(ctx context.Context, where func(*bun.SelectQuery) *bun.SelectQuery) (tenancy.Tenant, error) {
	row := new(tenantRow)
	err := r.db.NewSelect().Model(row).Apply(where).Order("created_at", "id").Limit(1).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return tenancy.Tenant{}, tenancy.ErrNotFound
	case err != nil:
		return tenancy.Tenant{}, fault.Wrap("select tenant", database.Classify(err))
	}
	return row.tenant()
}

// ByIDs implements [tenancy.Registry].
func (r *Registry) ByIDs(ctx context.Context, ids []string) ([]tenancy.Tenant, error) {
	return r.list(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("id IN (?)", bun.List(ids)).OrderExpr(`name COLLATE "C", id COLLATE "C"`)
	})
}

// List implements [tenancy.Registry].
func (r *Registry) List(ctx context.Context, after tenancy.Slug, limit int) ([]tenancy.Tenant, error) {
	return r.list(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("slug > ?", after.String()).Order("slug").Limit(int64(limit))
	})
}

func (r *Registry) list(ctx context.Context, query func(*bun.SelectQuery) *bun.SelectQuery) ([]tenancy.Tenant, error) {
	var rows []*tenantRow
	if err := r.db.NewSelect().Model(&rows).Apply(query).Scan(ctx); err != nil {
		return nil, fault.Wrap("select tenants", database.Classify(err))
	}
	tenants := make([]tenancy.Tenant, len(rows))
	for i, row := range rows {
		var err error
		if tenants[i], err = row.tenant(); err != nil {
			return nil, err
		}
	}
	return tenants, nil
}

// Expired implements [tenancy.Registry].
func (r *Registry) Expired(ctx context.Context, before time.Time, limit int) ([]tenancy.Tenant, error) {
	return r.list(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("deleted_at < ?", before).Order("deleted_at", "id").Limit(int64(limit))
	})
}

// Delete implements [tenancy.Registry].
func (r *Registry) Delete(ctx context.Context, id string) error {
	result, err := r.db.NewDelete().Model((*tenantRow)(nil)).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fault.Wrap("delete tenant", database.Classify(err))
	}
	return affectedOne(result)
}

// affectedOne returns [tenancy.ErrNotFound] when a statement changed no row.
func affectedOne(result sql.Result) error {
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, tenancy.ErrNotFound)
	}
	return nil
}

// Lock implements [tenancy.Registry] by advisory locks of the transaction,
// which PgBouncer cannot hand to somebody else as it does with those of a
// session.
func (r *Registry) Lock(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if _, err := r.db.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", key); err != nil {
			return fault.Wrap("lock tenants", database.Classify(err))
		}
	}
	return nil
}

// Insert implements [tenancy.Registry].
func (r *Registry) Insert(ctx context.Context, t tenancy.Tenant) error {
	taken := r.db.NewDelete().Model((*formerSlugRow)(nil)).Where("slug = ?", t.Slug.String())
	_, err := r.db.NewInsert().With("taken", taken).Model(rowOf(t)).ExcludeColumn("schema_version").Exec(ctx)
	return fault.Wrap("insert tenant", classify(err))
}

// Update implements [tenancy.Registry].
func (r *Registry) Update(ctx context.Context, t tenancy.Tenant) error {
	before := r.db.NewSelect().Model((*tenantRow)(nil)).Column("slug").Where("id = ?", t.ID)
	var slug string
	err := r.db.NewUpdate().With("before", before).Model(rowOf(t)).ExcludeColumn("id", "schema_name", "schema_version", "created_at").WherePK().
		Returning("(SELECT slug FROM before)").Scan(ctx, &slug)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return tenancy.ErrNotFound
	case err != nil:
		return fault.Wrap("update tenant", classify(err))
	}
	if slug != t.Slug.String() {
		if err := r.retire(ctx, t, slug); err != nil {
			return err
		}
	}
	return fault.Wrap("update tenant", r.announce(ctx, t.Schema))
}

type formerSlugRow struct {
	bun.BaseModel `bun:"table:tenant_former_slugs,alias:f"`

	Slug      string    `bun:"slug,pk"`
	TenantID  string    `bun:"tenant_id"`
	RetiredAt time.Time `bun:"retired_at"`
}

// retire makes slug a former one of the tenant, whose own slug is nobody's former
// one, and forgets what is more than [tenancy.MaxFormerSlugs].
func (r *Registry) retire(ctx context.Context, t tenancy.Tenant, slug string) error {
	// The statement does not see the row that it adds.
	kept := r.db.NewSelect().Model((*formerSlugRow)(nil)).Column("slug").Where("tenant_id = ?", t.ID).
		Where("slug NOT IN (?, ?)", slug, t.Slug.String()).OrderExpr("retired_at DESC, slug").Limit(tenancy.MaxFormerSlugs - 1)
	gone := r.db.NewDelete().Model((*formerSlugRow)(nil)).
		Where("slug = ? OR tenant_id = ? AND slug <> ? AND slug NOT IN (?)", t.Slug.String(), t.ID, slug, kept)
	_, err := r.db.NewInsert().With("gone", gone).Model(&formerSlugRow{Slug: slug, TenantID: t.ID, RetiredAt: t.UpdatedAt}).
		On("CONFLICT (slug) DO UPDATE").Set("tenant_id = EXCLUDED.tenant_id, retired_at = EXCLUDED.retired_at").Exec(ctx)
	return fault.Wrap("retire slug", database.Classify(err))
}

func classify(err error) error {
	if database.IsUniqueViolation(err, "") {
		return fault.New(fault.Conflict, "The tenant's id, slug or schema exists already.").WithCause(err)
	}
	return database.Classify(err)
}
