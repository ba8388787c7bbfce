// Package memory keeps projects in memory, for tests of use cases and of the
// whole application without a database.
package memory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/tenant"
)

var _ projects.Repository = (*Repository)(nil)

// Repository implements [projects.Repository]. Every tenant has a table of its
// own.
type Repository struct {
	mu     sync.Mutex
	tables map[tenant.Schema]*table
	now    func() time.Time
}

type table struct {
	rows   []projects.Project
	lastID int64
}

// NewRepository returns a repository without projects.
func NewRepository() *Repository {
	return &Repository{tables: map[tenant.Schema]*table{}, now: time.Now}
}

var errNoTenant = errors.New("projects: no tenant in the context")

// lock returns the table of the context's tenant, and what gives it back.
func (r *Repository) lock(ctx context.Context) (t *table, unlock func(), err error) {
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return nil, nil, errNoTenant
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	t = r.tables[schema]
	if t == nil {
		t = new(table)
		r.tables[schema] = t
	}
	return t, r.mu.Unlock, nil
}

// timestamp is now with PostgreSQL's precision.
func (r *Repository) timestamp() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

func (t *table) index(scope projects.Scope, slug projects.Slug, versions projects.Versions) (int, error) {
	i := slices.IndexFunc(t.rows, func(p projects.Project) bool {
		return p.Slug == slug && scope.Includes(p) && versions.Include(p)
	})
	if i < 0 {
		return 0, projects.ErrNotFound
	}
	return i, nil
}

func (t *table) isTaken(slug projects.Slug, except int64) bool {
	return slices.ContainsFunc(t.rows, func(p projects.Project) bool { return p.Slug == slug && p.ID != except })
}

// sorted returns the matching projects in an order.
func (t *table) sorted(order projects.Order, match func(projects.Project) bool) []projects.Project {
	found := slices.DeleteFunc(slices.Clone(t.rows), func(p projects.Project) bool { return !match(p) })
	slices.SortFunc(found, func(a, b projects.Project) int { return compare(order, a, b) })
	return found
}

// compare is negative when a comes before b.
func compare(order projects.Order, a, b projects.Project) int {
	field, descending := order.Field()
	if descending {
		a, b = b, a
	}
	var by int
	switch field {
	case "name":
		by = cmp.Compare(foldASCII(a.Name), foldASCII(b.Name))
	case "updated_at":
		by = a.UpdatedAt.Compare(b.UpdatedAt)
	default:
		by = a.CreatedAt.Compare(b.CreatedAt)
	}
	return cmp.Or(by, cmp.Compare(a.ID, b.ID))
}

func foldASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// List implements [projects.Repository].
func (r *Repository) List(ctx context.Context, scope projects.Scope, listing projects.Listing) ([]projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	found := t.sorted(listing.Order, func(p projects.Project) bool {
		return scope.Includes(p) && passes(p, listing.Filter) && isAfter(p, listing)
	})
	return found[:min(listing.Limit, len(found))], nil
}

func passes(p projects.Project, filter projects.Filter) bool {
	search := strings.ToLower(filter.Search)
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), search) }
	return (filter.Status == "" || p.Status == filter.Status) &&
		(filter.Public == nil || p.Public == *filter.Public) &&
		(filter.CreatedBy == "" || p.CreatedBy == filter.CreatedBy) &&
		(contains(p.Name) || contains(p.Slug.String()) || contains(p.Description))
}

func isAfter(p projects.Project, listing projects.Listing) bool {
	at, id := listing.After.Time()
	name, _ := listing.After.Name()
	place := projects.Project{ID: id, Name: name, CreatedAt: at, UpdatedAt: at}
	return listing.After.IsZero() || compare(listing.Order, place, p) < 0
}

// BySlug implements [projects.Repository].
func (r *Repository) BySlug(ctx context.Context, scope projects.Scope, slug projects.Slug) (projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Project{}, err
	}
	defer unlock()
	i, err := t.index(scope, slug, nil)
	if err != nil {
		return projects.Project{}, err
	}
	return t.rows[i], nil
}

// BySlugs implements [projects.Repository].
func (r *Repository) BySlugs(ctx context.Context, scope projects.Scope, slugs []projects.Slug) ([]projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return t.sorted(projects.NewestFirst, func(p projects.Project) bool { return scope.Includes(p) && slices.Contains(slugs, p.Slug) }), nil
}

// ByID implements [projects.Repository].
func (r *Repository) ByID(ctx context.Context, scope projects.Scope, id int64) (projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Project{}, err
	}
	defer unlock()
	i := slices.IndexFunc(t.rows, func(p projects.Project) bool { return p.ID == id && scope.Includes(p) })
	if i < 0 {
		return projects.Project{}, projects.ErrNotFound
	}
	return t.rows[i], nil
}

// Makers implements [projects.Repository].
func (r *Repository) Makers(ctx context.Context, scope projects.Scope, limit int) ([]string, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	made := map[string]int{}
	for _, p := range t.rows {
		if scope.Includes(p) {
			made[p.CreatedBy]++
		}
	}
	makers := slices.SortedFunc(maps.Keys(made), func(a, b string) int {
		return cmp.Or(cmp.Compare(made[b], made[a]), cmp.Compare(a, b))
	})
	return makers[:min(limit, len(makers))], nil
}

// Insert implements [projects.Repository].
func (r *Repository) Insert(ctx context.Context, p projects.Project) (projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Project{}, err
	}
	defer unlock()
	if t.isTaken(p.Slug, 0) {
		return projects.Project{}, projects.ErrSlugTaken
	}
	t.lastID++
	p.ID, p.CreatedAt = t.lastID, r.timestamp()
	p.UpdatedAt = p.CreatedAt
	t.rows = append(t.rows, p)
	return p, nil
}

// Update implements [projects.Repository].
func (r *Repository) Update(ctx context.Context, scope projects.Scope, slug projects.Slug, versions projects.Versions, edits projects.Edits) (projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Project{}, err
	}
	defer unlock()
	i, err := t.index(scope, slug, versions)
	if err != nil {
		return projects.Project{}, err
	}
	if changed := edits.Apply(t.rows[i]); t.isTaken(changed.Slug, changed.ID) {
		return projects.Project{}, projects.ErrSlugTaken
	}
	return r.edit(t, i, edits), nil
}

// edit makes edits to a row. Time goes on with every change, whatever the clock
// says.
func (r *Repository) edit(t *table, i int, edits projects.Edits) projects.Project {
	changed := edits.Apply(t.rows[i])
	changed.UpdatedAt = r.timestamp()
	if least := t.rows[i].UpdatedAt.Add(time.Microsecond); changed.UpdatedAt.Before(least) {
		changed.UpdatedAt = least
	}
	t.rows[i] = changed
	return changed
}

// SetStatus implements [projects.Repository].
func (r *Repository) SetStatus(ctx context.Context, scope projects.Scope, slugs []projects.Slug, status projects.Status) ([]projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var changed []projects.Project
	for i, p := range t.rows {
		if scope.Includes(p) && slices.Contains(slugs, p.Slug) && p.Status != status {
			changed = append(changed, r.edit(t, i, projects.Edits{Status: &status}))
		}
	}
	return changed, nil
}

// DeleteAll implements [projects.Repository].
func (r *Repository) DeleteAll(ctx context.Context, scope projects.Scope, slugs []projects.Slug) ([]projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var deleted []projects.Project
	t.rows = slices.DeleteFunc(t.rows, func(p projects.Project) bool {
		is := scope.Includes(p) && slices.Contains(slugs, p.Slug)
		if is {
			deleted = append(deleted, p)
		}
		return is
	})
	return deleted, nil
}

// Delete implements [projects.Repository].
func (r *Repository) Delete(ctx context.Context, scope projects.Scope, slug projects.Slug, versions projects.Versions) (projects.Project, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Project{}, err
	}
	defer unlock()
	i, err := t.index(scope, slug, versions)
	if err != nil {
		return projects.Project{}, err
	}
	deleted := t.rows[i]
	t.rows = slices.Delete(t.rows, i, i+1)
	return deleted, nil
}

// Summarize implements [projects.Repository].
func (r *Repository) Summarize(ctx context.Context, scope projects.Scope, accountID string, recent int) (projects.Summary, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return projects.Summary{}, err
	}
	defer unlock()
	found := t.sorted(projects.NewestFirst, scope.Includes)
	summary := projects.Summary{All: len(found), Recent: found[:min(recent, len(found))]}
	for _, p := range found {
		switch p.Status {
		case projects.StatusActive:
			summary.Active++
		case projects.StatusArchived:
			summary.Archived++
		}
		if p.CreatedBy == accountID {
			summary.Mine++
		}
	}
	return summary, nil
}

// Numbered implements [projects.Repository].
func (r *Repository) Numbered(ctx context.Context, stem projects.Slug) ([]projects.Slug, error) {
	t, unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []projects.Slug
	for _, p := range t.rows {
		suffix, ok := strings.CutPrefix(p.Slug.String(), stem.String())
		digits, hyphen := strings.CutPrefix(suffix, "-")
		if ok && (suffix == "" || hyphen && digits != "" && strings.Trim(digits, "0123456789") == "") {
			found = append(found, p.Slug)
		}
	}
	return found, nil
}
