package projects

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Service is what can be done with projects. Every use case works in the tenant
// of the context and on what the actor may see there.
type Service struct {
	repository Repository
}

// NewService returns a service over its port.
func NewService(repository Repository) *Service { return &Service{repository: repository} }

// List returns a page of the projects that the actor may see. Errors:
// [identity.ErrForbidden], [fault.Invalid].
func (s *Service) List(ctx context.Context, actor identity.Actor, listing Listing) (Page, error) {
	if err := s.AuthorizeList(actor); err != nil {
		return Page{}, err
	}
	listing, err := listing.parse()
	if err != nil {
		return Page{}, err
	}
	limit := listing.Limit
	listing.Limit++ // one more tells whether there is a next page
	found, err := s.repository.List(ctx, ScopeOf(actor, ActionView), listing)
	if err != nil {
		return Page{}, fault.Wrap("list projects", err)
	}
	if len(found) <= limit {
		return Page{Projects: found}, nil
	}
	return Page{Projects: found[:limit], Next: CursorAt(found[limit-1], listing.Order)}, nil
}

// recentProjects is how many projects a [Summary] shows.
const recentProjects = 5

// Summary returns the projects that the actor may see at a glance.
func (s *Service) Summary(ctx context.Context, actor identity.Actor) (Summary, error) {
	summary, err := s.repository.Summarize(ctx, ScopeOf(actor, ActionView), actor.AccountID, recentProjects)
	return summary, fault.Wrap("summarize projects", err)
}

// Get returns the project that URLs name slug. Errors: [ErrNotFound].
func (s *Service) Get(ctx context.Context, actor identity.Actor, slug string) (Project, error) {
	return s.Authorize(ctx, actor, slug, ActionView)
}

// Current returns the project that version is a state of, as it is now, whatever
// URLs name it by now. Errors: [ErrNotFound].
func (s *Service) Current(ctx context.Context, actor identity.Actor, version Version) (Project, error) {
	project, err := s.repository.ByID(ctx, ScopeOf(actor, ActionView), version.id)
	return project, fault.Wrap("get project", err)
}

// maxMakers bounds a list to choose somebody from.
const maxMakers = 200

// Makers returns the ids of the members who made the projects that the actor may
// see: those who made most first, at most 200. Errors: [identity.ErrForbidden].
func (s *Service) Makers(ctx context.Context, actor identity.Actor) ([]string, error) {
	if err := s.AuthorizeList(actor); err != nil {
		return nil, err
	}
	makers, err := s.repository.Makers(ctx, ScopeOf(actor, ActionView), maxMakers)
	return makers, fault.Wrap("list the makers of projects", err)
}

// Authorize returns the project that URLs name slug if the actor may do action
// to it. Adapters ask it before they look at what else was sent, so that
// nobody learns from a refused value what they may not know. Errors:
// [ErrNotFound] for a project that the actor may not see,
// [identity.ErrForbidden] for one that they may see and no more.
func (s *Service) Authorize(ctx context.Context, actor identity.Actor, slug string, action Action) (Project, error) {
	// Text that cannot be a slug names no project.
	parsed, err := ParseSlug(slug)
	if err != nil {
		return Project{}, ErrNotFound
	}
	project, err := s.repository.BySlug(ctx, ScopeOf(actor, ActionView), parsed)
	switch {
	case err != nil:
		return Project{}, fault.Wrap("get project", err)
	case !ScopeOf(actor, action).Includes(project):
		return Project{}, identity.ErrForbidden
	}
	return project, nil
}

// AuthorizeList returns nil if there are projects that the actor may see at
// all, and otherwise [identity.ErrForbidden].
func (s *Service) AuthorizeList(actor identity.Actor) error {
	return actor.Require(identity.ProjectsViewAll, identity.ProjectsViewOwn, identity.ProjectsViewPublic)
}

// AuthorizeCreate returns nil if the actor may create projects, and otherwise
// [identity.ErrForbidden].
func (s *Service) AuthorizeCreate(actor identity.Actor) error {
	return actor.Require(identity.ProjectsCreate)
}

// Create adds a project, made by the actor. Errors: [identity.ErrForbidden],
// [fault.Invalid], and [ErrSlugTaken] for a slug that was asked for; one that
// is derived from the name gets a number instead.
func (s *Service) Create(ctx context.Context, actor identity.Actor, draft Draft) (Project, error) {
	project, err := s.drafted(actor, draft)
	if err != nil {
		return Project{}, err
	}
	if project.Slug.IsZero() {
		project, err = s.insertNumbered(ctx, project)
	} else {
		project, err = s.repository.Insert(ctx, project)
	}
	return project, fault.Wrap("create project", err)
}

// drafted returns the project that draft describes, made by an actor who may.
func (s *Service) drafted(actor identity.Actor, draft Draft) (Project, error) {
	if err := s.AuthorizeCreate(actor); err != nil {
		return Project{}, err
	}
	project, err := draft.parse()
	project.CreatedBy = actor.AccountID
	return project, err
}

// CheckName returns an error of kind [fault.Invalid] with a field "name" for a name
// that a project cannot have.
func CheckName(name string) error {
	_, err := Draft{Name: name}.parse()
	return err
}

// CreateOnce is [Service.Create] for a project that is to be there once, however
// often it is asked for: one of the actor's with the name, at the address that it
// suggests, is returned as it is.
func (s *Service) CreateOnce(ctx context.Context, actor identity.Actor, name string) (Project, error) {
	project, err := s.drafted(actor, Draft{Name: name})
	if err != nil {
		return Project{}, err
	}
	project.Slug = deriveSlug(project.Name)
	inserted, err := s.repository.Insert(ctx, project)
	if !errors.Is(err, ErrSlugTaken) {
		return inserted, fault.Wrap("create project", err)
	}
	known, err := s.Get(ctx, actor, project.Slug.String())
	if err == nil && known.Name == project.Name && known.CreatedBy == actor.AccountID {
		return known, nil
	}
	inserted, err = s.insertNumbered(ctx, project)
	return inserted, fault.Wrap("create project", err)
}

// insertAttempts bounds how often a derived slug may be lost to somebody who
// was faster. The choice doubles with each attempt, so hundreds at once get
// through.
const insertAttempts = 10

// insertNumbered inserts p under the first free slug that its name suggests.
func (s *Service) insertNumbered(ctx context.Context, p Project) (Project, error) {
	stem := deriveSlug(p.Name)
	p.Slug = stem
	for attempt := range insertAttempts {
		inserted, err := s.repository.Insert(ctx, p)
		if !errors.Is(err, ErrSlugTaken) {
			return inserted, err
		}
		taken, err := s.repository.Numbered(ctx, stem)
		if err != nil {
			return Project{}, err
		}
		p.Slug = free(stem, taken, rand.IntN(1<<attempt))
	}
	return Project{}, ErrSlugTaken
}

// free returns the first of stem, stem-2, stem-3 … that is not taken, once
// skip others that are free were passed over.
func free(stem Slug, taken []Slug, skip int) Slug {
	for n := 1; ; n++ {
		slug := stem.numbered(n)
		if slices.Contains(taken, slug) {
			continue
		}
		if skip == 0 {
			return slug
		}
		skip--
	}
}

// Update changes the project that URLs name slug, if it is in one of versions,
// and returns it as it is then. Two changes at once to all versions are both
// made, the later one over the earlier where they touch the same field. Errors:
// those of [Service.Authorize], then [fault.Invalid], then [ErrChanged] and
// [ErrSlugTaken].
func (s *Service) Update(ctx context.Context, actor identity.Actor, slug string, versions Versions, change Change) (Project, error) {
	edits, invalid := change.parse()
	if invalid != nil || edits.IsZero() {
		project, err := s.Authorize(ctx, actor, slug, ActionEdit)
		if err == nil && invalid == nil && !versions.Include(project) {
			err = ErrChanged
		}
		return project, cmp.Or(err, invalid)
	}
	parsed, err := ParseSlug(slug)
	if err != nil {
		return Project{}, ErrNotFound
	}
	project, err := s.repository.Update(ctx, ScopeOf(actor, ActionEdit), parsed, versions, edits)
	return project, fault.Wrap("update project", s.explain(ctx, actor, slug, ActionEdit, versions, err))
}

// Delete removes the project that URLs name slug, if it is in one of versions,
// and returns it as it was. Errors: those of [Service.Authorize], then
// [ErrChanged].
func (s *Service) Delete(ctx context.Context, actor identity.Actor, slug string, versions Versions) (Project, error) {
	parsed, err := ParseSlug(slug)
	if err != nil {
		return Project{}, ErrNotFound
	}
	project, err := s.repository.Delete(ctx, ScopeOf(actor, ActionDelete), parsed, versions)
	return project, fault.Wrap("delete project", s.explain(ctx, actor, slug, ActionDelete, versions, err))
}

// explain tells a project that the actor may not change, and one that is in
// another version, from one that is not there, after a statement found none.
func (s *Service) explain(ctx context.Context, actor identity.Actor, slug string, action Action, versions Versions, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	_, reason := s.Authorize(ctx, actor, slug, action)
	if reason == nil && versions != nil {
		return ErrChanged
	}
	return cmp.Or(reason, err)
}
