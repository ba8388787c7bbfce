// Package bunrepo keeps projects in PostgreSQL, in the table "projects" of each
// tenant's schema.
package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

var _ projects.Repository = (*Repository)(nil)

// Repository implements [projects.Repository]. Every method is one statement.
type Repository struct{ db bun.IDB }

// NewRepository returns a repository over the handle for tenants' tables.
func NewRepository(db *database.DB) *Repository { return &Repository{db: db.Tenants()} }

type projectRow struct {
	bun.BaseModel `bun:"table:projects,alias:p"`

	ID          int64     `bun:"id,pk,autoincrement"`
	Name        string    `bun:"name"`
	Slug        string    `bun:"slug"`
	Description string    `bun:"description"`
	CreatedBy   string    `bun:"created_by"`
	IsPublic    bool      `bun:"is_public"`
	Status      string    `bun:"status"`
	CreatedAt   time.Time `bun:"created_at"`
	UpdatedAt   time.Time `bun:"updated_at"`
}

func rowOf(p projects.Project) *projectRow {
	return &projectRow{
		ID:          p.ID,
		Name:        p.Name,
		Slug:        p.Slug.String(),
		Description: p.Description,
		CreatedBy:   p.CreatedBy,
		IsPublic:    p.Public,
		Status:      string(p.Status),
		CreatedAt:   p.CreatedAt,
		UpdatedAt:   p.UpdatedAt,
	}
}

func (row *projectRow) project() (projects.Project, error) {
	slug, err := projects.ParseSlug(row.Slug)
	if err != nil {
		return projects.Project{}, fault.New(fault.Internal, "").WithCause(err)
	}
	return projects.Project{
		ID:          row.ID,
		Name:        row.Name,
		Slug:        slug,
		Description: row.Description,
		CreatedBy:   row.CreatedBy,
		Public:      row.IsPublic,
		Status:      projects.Status(row.Status), // the table's check has it
		CreatedAt:   row.CreatedAt.UTC(),
		UpdatedAt:   row.UpdatedAt.UTC(),
	}, nil
}

func projectsOf(rows []projectRow) ([]projects.Project, error) {
	list := make([]projects.Project, len(rows))
	for i := range rows {
		var err error
		if list[i], err = rows[i].project(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// within is [projects.Scope.Includes] in SQL.
func within(scope projects.Scope) func(bun.QueryBuilder) bun.QueryBuilder {
	return func(q bun.QueryBuilder) bun.QueryBuilder {
		if scope.All {
			return q
		}
		return q.Where("? AND p.is_public OR ? AND p.created_by = ?", scope.Public, scope.CreatedBy != "", scope.CreatedBy)
	}
}

// in is [projects.Versions.Include] in SQL.
func in(versions projects.Versions) func(bun.QueryBuilder) bun.QueryBuilder {
	return func(q bun.QueryBuilder) bun.QueryBuilder {
		if versions == nil {
			return q
		}
		return q.WhereGroup(" AND ", func(q bun.QueryBuilder) bun.QueryBuilder {
			q = q.Where("false")
			for _, version := range versions {
				id, updatedAt := version.Position()
				q = q.WhereOr("p.id = ? AND p.updated_at = ?", id, updatedAt)
			}
			return q
		})
	}
}

// newestFirst is the order of summaries; an index has it.
func newestFirst(q *bun.SelectQuery) *bun.SelectQuery {
	return q.OrderExpr("p.created_at DESC, p.id DESC")
}

// sortKeys are the expressions that lists are sorted by. C folds the case of
// ASCII letters alone, as [projects.Order] promises.
var sortKeys = map[string]string{
	"created_at": `p.created_at`,
	"updated_at": `p.updated_at`,
	"name":       `lower(p.name COLLATE "C")`,
}

// page sorts by the listing's order and starts after its cursor.
func page(listing projects.Listing) func(*bun.SelectQuery) *bun.SelectQuery {
	field, descending := listing.Order.Field()
	key, direction, beyond := sortKeys[field], "ASC", ">"
	if descending {
		direction, beyond = "DESC", "<"
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.OrderExpr(key + " " + direction + ", p.id " + direction).Limit(int64(listing.Limit))
		switch {
		case listing.After.IsZero():
			return q
		case field == "name":
			name, id := listing.After.Name()
			return q.Where("("+key+", p.id) "+beyond+` (lower(? COLLATE "C"), ?)`, name, id)
		}
		at, id := listing.After.Time()
		return q.Where("("+key+", p.id) "+beyond+" (?, ?)", at, id)
	}
}

// List implements [projects.Repository].
func (r *Repository) List(ctx context.Context, scope projects.Scope, listing projects.Listing) ([]projects.Project, error) {
	var rows []projectRow
	query := r.db.NewSelect().Model(&rows).ApplyQueryBuilder(within(scope)).Apply(page(listing))
	if listing.Search != "" {
		pattern := "%" + escapeLike.Replace(listing.Search) + "%"
		query = query.Where("p.name ILIKE ?0 OR p.slug ILIKE ?0 OR p.description ILIKE ?0", pattern)
	}
	if listing.Status != "" {
		query = query.Where("p.status = ?", string(listing.Status))
	}
	if listing.Public != nil {
		query = query.Where("p.is_public = ?", *listing.Public)
	}
	if listing.CreatedBy != "" {
		query = query.Where("p.created_by = ?", listing.CreatedBy)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fault.Wrap("select projects", database.Classify(err))
	}
	return projectsOf(rows)
}

// escapeLike makes a text a pattern that only it matches.
var escapeLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// BySlug implements [projects.Repository].
func (r *Repository) BySlug(ctx context.Context, scope projects.Scope, slug projects.Slug) (projects.Project, error) {
	row := new(projectRow)
	err := r.db.NewSelect().Model(row).ApplyQueryBuilder(within(scope)).Where("p.slug = ?", slug.String()).Scan(ctx)
	if err != nil {
		return projects.Project{}, fault.Wrap("select project", classify(err))
	}
	return row.project()
}

// named restricts a statement to projects by their slugs, of which there may be
// none.
func named(slugs []projects.Slug) func(bun.QueryBuilder) bun.QueryBuilder {
	texts := make([]string, len(slugs))
	for i, slug := range slugs {
		texts[i] = slug.String()
	}
	return func(q bun.QueryBuilder) bun.QueryBuilder { return q.Where("p.slug = ANY (?)", pgdialect.Array(texts)) }
}

// BySlugs implements [projects.Repository].
func (r *Repository) BySlugs(ctx context.Context, scope projects.Scope, slugs []projects.Slug) ([]projects.Project, error) {
	var rows []projectRow
	err := r.db.NewSelect().Model(&rows).ApplyQueryBuilder(within(scope)).ApplyQueryBuilder(named(slugs)).Scan(ctx)
	if err != nil {
		return nil, fault.Wrap("select projects", database.Classify(err))
	}
	return projectsOf(rows)
}

// ByID implements [projects.Repository].
func (r *Repository) ByID(ctx context.Context, scope projects.Scope, id int64) (projects.Project, error) {
	row := new(projectRow)
	err := r.db.NewSelect().Model(row).ApplyQueryBuilder(within(scope)).Where("p.id = ?", id).Scan(ctx)
	if err != nil {
		return projects.Project{}, fault.Wrap("select project", classify(err))
	}
	return row.project()
}

// Makers implements [projects.Repository].
func (r *Repository) Makers(ctx context.Context, scope projects.Scope, limit int) ([]string, error) {
	var makers []string
	err := r.db.NewSelect().Model((*projectRow)(nil)).Column("created_by").ApplyQueryBuilder(within(scope)).
		Group("created_by").OrderExpr(`count(*) DESC, p.created_by COLLATE "C"`).Limit(int64(limit)).Scan(ctx, &makers)
	if err != nil {
		return nil, fault.Wrap("select makers of projects", database.Classify(err))
	}
	return makers, nil
}

// Insert implements [projects.Repository]. A conflict is no error to
// PostgreSQL here, so that it does not end a transaction around it.
func (r *Repository) Insert(ctx context.Context, p projects.Project) (projects.Project, error) {
	row := rowOf(p)
	err := r.db.NewInsert().Model(row).ExcludeColumn("id", "created_at", "updated_at").
		On("CONFLICT (slug) DO NOTHING").Returning("*").Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return projects.Project{}, projects.ErrSlugTaken
	case err != nil:
		return projects.Project{}, fault.Wrap("insert project", database.Classify(err))
	}
	return row.project()
}

// touched is when a row is changed. Of two changes that the clock cannot tell
// apart, the later one is still the later one by its time.
const touched = "updated_at = greatest(now(), p.updated_at + interval '1 microsecond')"

// Update implements [projects.Repository].
func (r *Repository) Update(ctx context.Context, scope projects.Scope, slug projects.Slug, versions projects.Versions, edits projects.Edits) (projects.Project, error) {
	row := new(projectRow)
	query := r.db.NewUpdate().Model(row).Set(touched).
		ApplyQueryBuilder(within(scope)).ApplyQueryBuilder(in(versions)).Where("p.slug = ?", slug.String()).Returning("*")
	if edits.Name != nil {
		query = query.Set("name = ?", *edits.Name)
	}
	if edits.Slug != nil {
		query = query.Set("slug = ?", edits.Slug.String())
	}
	if edits.Description != nil {
		query = query.Set("description = ?", *edits.Description)
	}
	if edits.Public != nil {
		query = query.Set("is_public = ?", *edits.Public)
	}
	if edits.Status != nil {
		query = query.Set("status = ?", string(*edits.Status))
	}
	if err := query.Scan(ctx); err != nil {
		return projects.Project{}, fault.Wrap("update project", classify(err))
	}
	return row.project()
}

// Delete implements [projects.Repository].
func (r *Repository) Delete(ctx context.Context, scope projects.Scope, slug projects.Slug, versions projects.Versions) (projects.Project, error) {
	row := new(projectRow)
	err := r.db.NewDelete().Model(row).ApplyQueryBuilder(within(scope)).ApplyQueryBuilder(in(versions)).Where("p.slug = ?", slug.String()).
		Returning("*").Scan(ctx)
	if err != nil {
		return projects.Project{}, fault.Wrap("delete project", classify(err))
	}
	return row.project()
}

// SetStatus implements [projects.Repository].
func (r *Repository) SetStatus(ctx context.Context, scope projects.Scope, slugs []projects.Slug, status projects.Status) ([]projects.Project, error) {
	var rows []projectRow
	err := r.db.NewUpdate().Model(&rows).Set("status = ?", string(status)).Set(touched).ApplyQueryBuilder(within(scope)).
		ApplyQueryBuilder(named(slugs)).Where("p.status <> ?", string(status)).Returning("*").Scan(ctx)
	if err != nil {
		return nil, fault.Wrap("update projects", database.Classify(err))
	}
	return projectsOf(rows)
}

// DeleteAll implements [projects.Repository].
func (r *Repository) DeleteAll(ctx context.Context, scope projects.Scope, slugs []projects.Slug) ([]projects.Project, error) {
	var rows []projectRow
	err := r.db.NewDelete().Model(&rows).ApplyQueryBuilder(within(scope)).ApplyQueryBuilder(named(slugs)).Returning("*").Scan(ctx)
	if err != nil {
		return nil, fault.Wrap("delete projects", database.Classify(err))
	}
	return projectsOf(rows)
}

// summaryRow is one of the newest projects beside the totals of all.
type summaryRow struct {
	projectRow

	Total    int `bun:"total"`
	Active   int `bun:"active"`
	Archived int `bun:"archived"`
	Mine     int `bun:"mine"`
}

// Summarize implements [projects.Repository].
func (r *Repository) Summarize(ctx context.Context, scope projects.Scope, accountID string, recent int) (projects.Summary, error) {
	totals := r.db.NewSelect().Model((*projectRow)(nil)).ApplyQueryBuilder(within(scope)).
		ColumnExpr("count(*) AS total").
		ColumnExpr("count(*) FILTER (WHERE p.status = ?) AS active", string(projects.StatusActive)).
		ColumnExpr("count(*) FILTER (WHERE p.status = ?) AS archived", string(projects.StatusArchived)).
		ColumnExpr("count(*) FILTER (WHERE p.created_by = ?) AS mine", accountID)
	newest := r.db.NewSelect().Model((*projectRow)(nil)).ApplyQueryBuilder(within(scope)).
		Apply(newestFirst).Limit(int64(recent))

	var rows []summaryRow
	err := r.db.NewSelect().TableExpr("(?) AS p", newest).TableExpr("(?) AS t", totals).
		ColumnExpr("p.*, t.*").Apply(newestFirst).Scan(ctx, &rows)
	if err != nil {
		return projects.Summary{}, fault.Wrap("summarize projects", database.Classify(err))
	}
	if len(rows) == 0 {
		return projects.Summary{}, nil
	}
	summary := projects.Summary{All: rows[0].Total, Active: rows[0].Active, Archived: rows[0].Archived, Mine: rows[0].Mine}
	for _, row := range rows {
		p, err := row.project()
		if err != nil {
			return projects.Summary{}, err
		}
		summary.Recent = append(summary.Recent, p)
	}
	return summary, nil
}

// Numbered implements [projects.Repository]. A slug has no character that means
// something in a regular expression.
func (r *Repository) Numbered(ctx context.Context, stem projects.Slug) ([]projects.Slug, error) {
	var texts []string
	err := r.db.NewSelect().Model((*projectRow)(nil)).Column("slug").
		Where("p.slug ~ ?", "^"+stem.String()+"(-[0-9]+)?$").Scan(ctx, &texts)
	if err != nil {
		return nil, fault.Wrap("select slugs", database.Classify(err))
	}
	slugs := make([]projects.Slug, len(texts))
	for i, text := range texts {
		if slugs[i], err = projects.ParseSlug(text); err != nil {
			return nil, fault.New(fault.Internal, "").WithCause(err)
		}
	}
	return slugs, nil
}

func classify(err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return projects.ErrNotFound
	case database.IsUniqueViolation(err, "projects_slug_key"):
		return projects.ErrSlugTaken
	}
	return database.Classify(err)
}
