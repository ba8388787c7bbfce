// Package memory keeps tenants in memory, for tests of use cases and of the
// whole application without a database.
package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

var (
	_ tenancy.Registry    = (*Registry)(nil)
	_ tenancy.Provisioner = (*Schemas)(nil)
	_ memtx.Store         = (*Registry)(nil)
	_ memtx.Store         = (*Schemas)(nil)
)

// Registry keeps tenants in memory.
type Registry struct {
	mu      sync.Mutex
	tenants map[string]tenancy.Tenant
	former  map[tenancy.Slug]formerSlug
}

type formerSlug struct {
	tenantID  string
	retiredAt time.Time
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{tenants: map[string]tenancy.Tenant{}, former: map[tenancy.Slug]formerSlug{}}
}

// Snapshot implements [memtx.Store].
func (r *Registry) Snapshot() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	tenants, former := maps.Clone(r.tenants), maps.Clone(r.former)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tenants, r.former = tenants, former
	}
}

func (r *Registry) first(ctx context.Context, match func(tenancy.Tenant) bool) (tenancy.Tenant, error) {
	found, err := r.all(ctx, match)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	if len(found) == 0 {
		return tenancy.Tenant{}, tenancy.ErrNotFound
	}
	return found[0], nil
}

// all returns the matching tenants, the longest-standing first.
func (r *Registry) all(ctx context.Context, match func(tenancy.Tenant) bool) ([]tenancy.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []tenancy.Tenant
	for _, t := range r.tenants {
		if match(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b tenancy.Tenant) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// BySlug implements [tenancy.Registry].
func (r *Registry) BySlug(ctx context.Context, slug tenancy.Slug) (tenancy.Tenant, error) {
	return r.first(ctx, func(t tenancy.Tenant) bool { return t.Slug == slug })
}

// ByFormerSlug implements [tenancy.Registry].
func (r *Registry) ByFormerSlug(ctx context.Context, slug tenancy.Slug) (tenancy.Tenant, error) {
	r.mu.Lock()
	former, ok := r.former[slug]
	r.mu.Unlock()
	if !ok {
		return tenancy.Tenant{}, cmp.Or(ctx.Err(), error(tenancy.ErrNotFound))
	}
	return r.ByID(ctx, former.tenantID)
}

// ByID implements [tenancy.Registry].
func (r *Registry) ByID(ctx context.Context, id string) (tenancy.Tenant, error) {
	return r.first(ctx, func(t tenancy.Tenant) bool { return t.ID == id })
}

// ByIDs implements [tenancy.Registry].
func (r *Registry) ByIDs(ctx context.Context, ids []string) ([]tenancy.Tenant, error) {
	found, err := r.all(ctx, func(t tenancy.Tenant) bool { return slices.Contains(ids, t.ID) })
	slices.SortFunc(found, func(a, b tenancy.Tenant) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return found, err
}

// List implements [tenancy.Registry].
func (r *Registry) List(ctx context.Context, after tenancy.Slug, limit int) ([]tenancy.Tenant, error) {
	found, err := r.all(ctx, func(t tenancy.Tenant) bool { return t.Slug.String() > after.String() })
	slices.SortFunc(found, func(a, b tenancy.Tenant) int { return cmp.Compare(a.Slug.String(), b.Slug.String()) })
	return found[:min(limit, len(found))], err
}

// Waiting implements [tenancy.Registry].
func (r *Registry) Waiting(ctx context.Context, slug string) (tenancy.Tenant, error) {
	return r.first(ctx, func(t tenancy.Tenant) bool {
		return t.RequestedSlug == slug && t.Slug.String() != slug && !t.Deleted()
	})
}

// Expired implements [tenancy.Registry].
func (r *Registry) Expired(ctx context.Context, before time.Time, limit int) ([]tenancy.Tenant, error) {
	found, err := r.all(ctx, func(t tenancy.Tenant) bool { return t.Deleted() && t.DeletedAt.Before(before) })
	slices.SortFunc(found, func(a, b tenancy.Tenant) int {
		return cmp.Or(a.DeletedAt.Compare(b.DeletedAt), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(limit, len(found))], err
}

// Delete implements [tenancy.Registry].
func (r *Registry) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.tenants[id]; !ok {
		return tenancy.ErrNotFound
	}
	delete(r.tenants, id)
	maps.DeleteFunc(r.former, func(_ tenancy.Slug, f formerSlug) bool { return f.tenantID == id })
	return nil
}

// Lock implements [tenancy.Registry]; a [memtx.Transactor] runs one
// transaction at a time, so there is nothing to wait for.
func (r *Registry) Lock(ctx context.Context, _ ...string) error { return ctx.Err() }

// Insert implements [tenancy.Registry].
func (r *Registry) Insert(ctx context.Context, t tenancy.Tenant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.tenants {
		if other.ID == t.ID || other.Slug == t.Slug || other.Schema == t.Schema {
			return fault.New(fault.Conflict, "The tenant's id, slug or schema exists already.")
		}
	}
	r.tenants[t.ID] = t
	delete(r.former, t.Slug)
	return nil
}

// Update implements [tenancy.Registry].
func (r *Registry) Update(ctx context.Context, t tenancy.Tenant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stored, ok := r.tenants[t.ID]
	if !ok {
		return tenancy.ErrNotFound
	}
	for _, other := range r.tenants {
		if other.ID != t.ID && other.Slug == t.Slug {
			return fault.New(fault.Conflict, "Another tenant has this slug.")
		}
	}
	t.Schema, t.SchemaVersion, t.CreatedAt = stored.Schema, stored.SchemaVersion, stored.CreatedAt
	r.tenants[t.ID] = t
	if stored.Slug != t.Slug {
		r.retire(t, stored.Slug)
	}
	return nil
}

// retire makes slug a former one of the tenant.
func (r *Registry) retire(t tenancy.Tenant, slug tenancy.Slug) {
	delete(r.former, t.Slug)
	r.former[slug] = formerSlug{t.ID, t.UpdatedAt}
	var own []tenancy.Slug
	for each, former := range r.former {
		if former.tenantID == t.ID && each != slug {
			own = append(own, each)
		}
	}
	slices.SortFunc(own, func(a, b tenancy.Slug) int {
		return cmp.Or(r.former[b].retiredAt.Compare(r.former[a].retiredAt), cmp.Compare(a.String(), b.String()))
	})
	for _, each := range own[min(len(own), tenancy.MaxFormerSlugs-1):] {
		delete(r.former, each)
	}
}

// Schemas stands for the schemas of a database: it knows which were made.
type Schemas struct {
	mu   sync.Mutex
	made map[tenant.Schema]bool
	// Fail, when set, is asked when a schema is made or destroyed; tests use it
	// to fail in the middle of either.
	Fail func(tenant.Schema) error
	// Outdated are the versions that cannot be served.
	Outdated []string
}

// NewSchemas returns a database without schemas.
func NewSchemas() *Schemas { return &Schemas{made: map[tenant.Schema]bool{}} }

// Snapshot implements [memtx.Store].
func (s *Schemas) Snapshot() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved := maps.Clone(s.made)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.made = saved
	}
}

// Provision implements [tenancy.Provisioner].
func (s *Schemas) Provision(ctx context.Context, schema tenant.Schema) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[schema] {
		return fault.New(fault.Conflict, "The schema exists already.")
	}
	s.made[schema] = true
	if s.Fail != nil {
		return s.Fail(schema)
	}
	return nil
}

// Serves implements [tenancy.Provisioner]: schemas in memory have no versions,
// unless a test names those that cannot be served.
func (s *Schemas) Serves(version string) bool { return !slices.Contains(s.Outdated, version) }

// Deprovision implements [tenancy.Provisioner].
func (s *Schemas) Deprovision(ctx context.Context, schema tenant.Schema) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		if err := s.Fail(schema); err != nil {
			return err
		}
	}
	delete(s.made, schema)
	return nil
}

// Has reports whether schema was made.
func (s *Schemas) Has(schema tenant.Schema) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[schema]
}
