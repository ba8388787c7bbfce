package tenancy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Service is what the rest of the product asks about tenants.
type Service struct {
	registry    Registry
	provisioner Provisioner
	tx          Transactor
	now         func() time.Time
}

// NewService returns a service over its ports.
func NewService(registry Registry, provisioner Provisioner, tx Transactor) *Service {
	return &Service{registry: registry, provisioner: provisioner, tx: tx, now: time.Now}
}

// Organization is what the registry is told about an organization.
type Organization struct {
	ID        string
	Name      string
	Slug      string // the slug it asks for; may be empty, taken, reserved or not valid
	ImageURL  string
	CreatedAt time.Time
	DeletedAt time.Time // zero while it lives
}

// Resolve returns the tenant that URLs name slug, suspended ones included. Text
// that cannot be a slug names no tenant. Errors: [ErrNotFound].
func (s *Service) Resolve(ctx context.Context, slug string) (Tenant, error) {
	// A slug made by fallbackSlug is spelled like any other, so parsing is only
	// a guard against asking the database for nonsense.
	parsed, err := ParseGivenSlug(slug)
	if err != nil {
		return Tenant{}, ErrNotFound
	}
	t, err := s.registry.BySlug(ctx, parsed)
	return t, fault.Wrap("resolve tenant", err)
}

// ResolveFormer returns the tenant that URLs named slug before, while no other has it.
// Who asks has to be a member before they are told. Errors: [ErrNotFound].
func (s *Service) ResolveFormer(ctx context.Context, slug string) (Tenant, error) {
	parsed, err := ParseGivenSlug(slug)
	if err != nil {
		return Tenant{}, ErrNotFound
	}
	t, err := s.registry.ByFormerSlug(ctx, parsed)
	return t, fault.Wrap("resolve former slug", err)
}

// Get returns the tenant of the organization with id. Errors: [ErrNotFound].
func (s *Service) Get(ctx context.Context, id string) (Tenant, error) {
	t, err := s.registry.ByID(ctx, id)
	return t, fault.Wrap("get tenant", err)
}

// Among returns the tenants of those organizations that have one, ordered by
// name.
func (s *Service) Among(ctx context.Context, ids []string) ([]Tenant, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	tenants, err := s.registry.ByIDs(ctx, ids)
	return tenants, fault.Wrap("list tenants", err)
}

// Serves reports whether this program can work in a tenant's schema at its
// present version.
func (s *Service) Serves(t Tenant) bool { return s.provisioner.Serves(t.SchemaVersion) }

// List returns at most limit tenants after the one with the given slug, ordered
// by slug.
func (s *Service) List(ctx context.Context, after Slug, limit int) ([]Tenant, error) {
	tenants, err := s.registry.List(ctx, after, limit)
	return tenants, fault.Wrap("list tenants", err)
}

// eachPage is how many tenants [Service.Each] reads at once.
const eachPage = 500

// Each hands every tenant to fn, in the order of their slugs, until fn returns an
// error, which it returns. Those of deleted organizations are among them until they
// are purged.
func (s *Service) Each(ctx context.Context, fn func(Tenant) error) error {
	for after := (Slug{}); ; {
		tenants, err := s.List(ctx, after, eachPage)
		if err != nil || len(tenants) == 0 {
			return err
		}
		for _, t := range tenants {
			if err := fn(t); err != nil {
				return err
			}
			after = t.Slug
		}
	}
}

// Sync makes the registry agree with what is known of an organization, in one
// transaction: a new one is provisioned whole, a known one is renamed, a
// deleted one is suspended and kept until the purge. It returns the tenant as
// it is afterwards; an organization that was deleted before it ever had a
// tenant gets none, and the zero Tenant is returned.
//
// The tenant's slug becomes the one asked for as soon as that is free. Until
// then it is made from the wish and the id, so it does not depend on the order
// in which organizations come. The slug of a deleted tenant goes to the first
// live one that asks for it.
func (s *Service) Sync(ctx context.Context, o Organization) (Tenant, error) {
	var result Tenant
	err := s.tx.InSystemTx(ctx, func(ctx context.Context) error {
		if err := s.registry.Lock(ctx, "tenant:"+o.ID); err != nil {
			return err
		}
		current, err := s.registry.ByID(ctx, o.ID)
		switch {
		case err == nil:
			result, err = s.change(ctx, current, o)
		case !fault.Is(err, fault.NotFound):
		case o.DeletedAt.IsZero():
			result, err = s.provision(ctx, o)
		default:
			result, err = Tenant{}, nil
		}
		return err
	})
	return result, fault.Wrap("sync tenant", err)
}

func (s *Service) provision(ctx context.Context, o Organization) (Tenant, error) {
	if err := s.lockSlugs(ctx, o.Slug); err != nil {
		return Tenant{}, err
	}
	slug, err := s.claim(ctx, o.ID, o.Slug, Slug{})
	if err != nil {
		return Tenant{}, err
	}
	t := Tenant{
		ID:            o.ID,
		Name:          o.Name,
		Slug:          slug,
		RequestedSlug: o.Slug,
		Schema:        SchemaName(o.ID, slug.String()),
		ImageURL:      o.ImageURL,
		Active:        true,
		CreatedAt:     o.CreatedAt,
		UpdatedAt:     s.now(),
	}
	if err := s.registry.Insert(ctx, t); err != nil {
		return Tenant{}, err
	}
	if err := s.provisioner.Provision(ctx, t.Schema); err != nil {
		return Tenant{}, err
	}
	return s.registry.ByID(ctx, t.ID) // with the version that it was provisioned at
}

func (s *Service) change(ctx context.Context, current Tenant, o Organization) (Tenant, error) {
	changed := current
	if o.DeletedAt.IsZero() {
		changed.Name, changed.ImageURL, changed.RequestedSlug = o.Name, o.ImageURL, o.Slug
	} else if !current.Deleted() {
		changed.Active, changed.SuspendedAt, changed.DeletedAt = false, o.DeletedAt, o.DeletedAt
	}
	settled := changed.RequestedSlug == changed.Slug.String() && !Reserved(changed.RequestedSlug)
	if changed == current && (settled || current.Deleted()) {
		return current, nil
	}

	if err := s.lockSlugs(ctx, changed.RequestedSlug, current.Slug.String()); err != nil {
		return Tenant{}, err
	}
	// Somebody may have been given or have lost a slug while the lock was
	// waited for, and this tenant with them.
	latest, err := s.registry.ByID(ctx, current.ID)
	if err != nil {
		return Tenant{}, err
	}
	current, changed.Slug = latest, latest.Slug
	if !changed.Deleted() {
		if changed.Slug, err = s.claim(ctx, current.ID, changed.RequestedSlug, current.Slug); err != nil {
			return Tenant{}, err
		}
	}
	if changed == current {
		return current, nil
	}
	changed.UpdatedAt = s.now()
	if err := s.registry.Update(ctx, changed); err != nil {
		return Tenant{}, err
	}
	switch {
	case changed.Deleted():
		return s.yieldToWaiting(ctx, changed)
	case changed.Slug != current.Slug:
		return changed, s.promote(ctx, current.Slug)
	}
	return changed, nil
}

// claim returns the slug that the tenant with id is to have: the requested one
// when it is free, its own already, or a deleted tenant's; otherwise one that
// is made for it. The caller holds the lock on the requested slug.
func (s *Service) claim(ctx context.Context, id, requested string, current Slug) (Slug, error) {
	if slug, err := ParseSlug(requested); err == nil {
		holder, err := s.registry.BySlug(ctx, slug)
		switch {
		case fault.Is(err, fault.NotFound), err == nil && holder.ID == id:
			return slug, nil
		case err != nil:
			return Slug{}, err
		case holder.Deleted():
			return slug, s.evict(ctx, holder)
		}
	}
	return s.fallback(ctx, id, requested, current)
}

// fallback returns the first slug made for the tenant with id that nobody else
// has.
func (s *Service) fallback(ctx context.Context, id, requested string, current Slug) (Slug, error) {
	const attempts = 8
	for attempt := range attempts {
		slug := fallbackSlug(id, requested, attempt)
		if slug == current {
			return slug, nil
		}
		holder, err := s.registry.BySlug(ctx, slug)
		switch {
		case fault.Is(err, fault.NotFound), err == nil && holder.ID == id:
			return slug, nil
		case err != nil:
			return Slug{}, err
		}
	}
	return Slug{}, fmt.Errorf("tenancy: no free slug after %d attempts", attempts)
}

// evict takes the plain slug from a deleted tenant.
func (s *Service) evict(ctx context.Context, deleted Tenant) error {
	slug, err := s.fallback(ctx, deleted.ID, deleted.RequestedSlug, Slug{})
	if err != nil {
		return err
	}
	deleted.Slug, deleted.UpdatedAt = slug, s.now()
	return s.registry.Update(ctx, deleted)
}

// yieldToWaiting gives the slug of a tenant that was just deleted to a live one
// that asked for it.
func (s *Service) yieldToWaiting(ctx context.Context, deleted Tenant) (Tenant, error) {
	_, err := s.waiting(ctx, deleted.Slug)
	switch {
	case fault.Is(err, fault.NotFound):
		return deleted, nil
	case err != nil:
		return Tenant{}, err
	}
	if err := s.evict(ctx, deleted); err != nil {
		return Tenant{}, err
	}
	if err := s.promote(ctx, deleted.Slug); err != nil {
		return Tenant{}, err
	}
	return s.registry.ByID(ctx, deleted.ID)
}

// waiting returns the live tenant that waits for a slug, which nobody does for a word
// that has been reserved. Errors: [ErrNotFound].
func (s *Service) waiting(ctx context.Context, slug Slug) (Tenant, error) {
	if Reserved(slug.String()) {
		return Tenant{}, ErrNotFound
	}
	return s.registry.Waiting(ctx, slug.String())
}

// promote gives a slug that became free to the live tenant that waits for it.
func (s *Service) promote(ctx context.Context, free Slug) error {
	waiting, err := s.waiting(ctx, free)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	}
	waiting.Slug, waiting.UpdatedAt = free, s.now()
	return s.registry.Update(ctx, waiting)
}

// lockSlugs locks slugs in one order for everybody, so that two transactions
// never wait for each other.
func (s *Service) lockSlugs(ctx context.Context, slugs ...string) error {
	keys := make([]string, 0, len(slugs))
	for _, slug := range slugs {
		if slug != "" {
			keys = append(keys, "slug:"+slug)
		}
	}
	slices.Sort(keys)
	return s.registry.Lock(ctx, slices.Compact(keys)...)
}

// purgeBatch is how many tenants are looked for at once.
const purgeBatch = 100

// Purge destroys the tenants whose organizations were deleted before a time,
// data and all, and returns those that are gone. It goes on with the next when
// one fails, and returns what failed in the end; calling it again finishes what
// was interrupted. Until a tenant is purged, nothing of it is lost.
func (s *Service) Purge(ctx context.Context, before time.Time) (purged []Tenant, err error) {
	failed := map[string]error{}
	for ctx.Err() == nil {
		// Those that failed stay at the front, so more are asked for.
		expired, err := s.registry.Expired(ctx, before, purgeBatch+len(failed))
		if err != nil {
			return purged, fault.Wrap("purge tenants", err)
		}
		expired = slices.DeleteFunc(expired, func(t Tenant) bool { return failed[t.ID] != nil })
		if len(expired) == 0 {
			break
		}
		for _, t := range expired {
			if err := s.purge(ctx, t); err != nil {
				failed[t.ID] = fault.Wrap("purge tenant "+t.ID, err)
				continue
			}
			purged = append(purged, t)
		}
	}
	return purged, errors.Join(append(slices.Collect(maps.Values(failed)), ctx.Err())...)
}

func (s *Service) purge(ctx context.Context, t Tenant) error {
	if err := s.provisioner.Deprovision(ctx, t.Schema); err != nil {
		return err
	}
	return s.tx.InSystemTx(ctx, func(ctx context.Context) error {
		if err := s.registry.Lock(ctx, "tenant:"+t.ID); err != nil {
			return err
		}
		if err := s.registry.Delete(ctx, t.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err // another process may have been faster
		}
		return nil
	})
}

// Suspend switches a tenant off: its members are told so, everybody else finds
// nothing. Doing it twice is harmless. Errors: [ErrNotFound].
func (s *Service) Suspend(ctx context.Context, id string) (Tenant, error) {
	return s.setActive(ctx, id, false)
}

// Resume switches a suspended tenant on again. A tenant whose organization was
// deleted stays off: an error of kind [fault.Conflict].
func (s *Service) Resume(ctx context.Context, id string) (Tenant, error) {
	return s.setActive(ctx, id, true)
}

func (s *Service) setActive(ctx context.Context, id string, active bool) (Tenant, error) {
	t, err := s.edit(ctx, id, func(t *Tenant, now time.Time) error {
		switch {
		case t.Active == active:
			return nil
		case t.Deleted():
			return fault.New(fault.Conflict, "The organization was deleted, so its tenant cannot be resumed.")
		}
		t.Active, t.SuspendedAt = active, time.Time{}
		if !active {
			t.SuspendedAt = now
		}
		return nil
	})
	return t, fault.Wrap("set tenant active", err)
}

// SetProjectsPublic chooses whether the tenant's new projects are public unless
// their makers say otherwise, and returns the tenant as it is then. Errors:
// [ErrNotFound].
func (s *Service) SetProjectsPublic(ctx context.Context, id string, public bool) (Tenant, error) {
	t, err := s.edit(ctx, id, func(t *Tenant, _ time.Time) error {
		t.ProjectsPublic = public
		return nil
	})
	return t, fault.Wrap("set what new projects are", err)
}

// edit makes a change to what is the tenant's own, beside which no other change of
// it is lost. One that changes nothing writes nothing.
func (s *Service) edit(ctx context.Context, id string, change func(t *Tenant, now time.Time) error) (Tenant, error) {
	var result Tenant
	err := s.tx.InSystemTx(ctx, func(ctx context.Context) error {
		if err := s.registry.Lock(ctx, "tenant:"+id); err != nil {
			return err
		}
		t, err := s.registry.ByID(ctx, id)
		if err != nil {
			return err
		}
		// The slug's lock keeps the tenant from being promoted meanwhile.
		if err := s.lockSlugs(ctx, t.RequestedSlug); err != nil {
			return err
		}
		if t, err = s.registry.ByID(ctx, id); err != nil {
			return err
		}
		result = t
		now := s.now()
		if err := change(&t, now); err != nil || t == result {
			return err
		}
		t.UpdatedAt = now
		result = t
		return s.registry.Update(ctx, t)
	})
	return result, err
}
