package projects

import (
	"context"
	"slices"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Bulk is something that is done to several projects at once. The set is closed.
type Bulk string

// Everything that is done in bulk.
const (
	BulkArchive Bulk = "archive"
	BulkRestore Bulk = "restore" // archived projects become active
	BulkDelete  Bulk = "delete"
)

// Bulks returns everything that is done in bulk.
func Bulks() []Bulk { return []Bulk{BulkArchive, BulkRestore, BulkDelete} }

// MaxBulk is how many projects are changed at once.
const MaxBulk = MaxLimit

// Action is what is done to each of the projects.
func (b Bulk) Action() Action {
	if b == BulkDelete {
		return ActionDelete
	}
	return ActionEdit
}

// status is what the projects have afterwards, unless they are deleted.
func (b Bulk) status() Status {
	if b == BulkArchive {
		return StatusArchived
	}
	return StatusActive
}

// Outcome is what becomes of one of several projects.
type Outcome struct {
	// Slug is the one that was asked for, as it was sent.
	Slug string
	// Project is the one that the actor sees by that slug, its zero value if
	// there is none.
	Project Project
	// Err is why nothing becomes of it: [ErrNotFound] or
	// [identity.ErrForbidden].
	Err error
}

// AuthorizeBulk returns nil if there may be projects that the actor may change,
// and otherwise [identity.ErrForbidden].
func (s *Service) AuthorizeBulk(actor identity.Actor) error {
	return actor.Require(identity.ProjectsEditAll, identity.ProjectsEditOwn, identity.ProjectsDeleteAll, identity.ProjectsDeleteOwn)
}

// PreviewBulk returns what would become of the projects that URLs name slugs, in
// their order and each once: every one is authorized by itself. Errors:
// [identity.ErrForbidden], [fault.Invalid].
func (s *Service) PreviewBulk(ctx context.Context, actor identity.Actor, bulk Bulk, slugs []string) ([]Outcome, error) {
	if err := s.AuthorizeBulk(actor); err != nil {
		return nil, err
	}
	slugs, err := parseBulk(bulk, slugs)
	if err != nil {
		return nil, err
	}
	outcomes, err := s.outcomes(ctx, actor, bulk, slugs)
	return outcomes, fault.Wrap("preview "+string(bulk), err)
}

// DoBulk does it to those of the projects that URLs name slugs that the actor may
// do it to, in one step, and returns what became of each. One that is already as
// it should be stays as it is. Errors: those of [Service.PreviewBulk].
func (s *Service) DoBulk(ctx context.Context, actor identity.Actor, bulk Bulk, slugs []string) ([]Outcome, error) {
	outcomes, err := s.PreviewBulk(ctx, actor, bulk, slugs)
	if err != nil {
		return nil, err
	}
	return outcomes, fault.Wrap(string(bulk)+" projects", s.do(ctx, actor, bulk, outcomes))
}

// do changes the projects that outcomes allow, and writes into them what was not
// so after all.
func (s *Service) do(ctx context.Context, actor identity.Actor, bulk Bulk, outcomes []Outcome) error {
	var slugs []Slug
	for _, o := range outcomes {
		if o.Err == nil && !bulk.isDone(o.Project) {
			slugs = append(slugs, o.Project.Slug)
		}
	}
	if len(slugs) == 0 {
		return nil
	}
	changed, err := s.change(ctx, ScopeOf(actor, bulk.Action()), bulk, slugs)
	if err != nil {
		return err
	}
	var left []string // to somebody who was faster
	for i, o := range outcomes {
		switch at := slices.IndexFunc(changed, func(p Project) bool { return p.Slug == o.Project.Slug }); {
		case o.Err != nil || bulk.isDone(o.Project):
		case at >= 0:
			outcomes[i].Project = changed[at]
		default:
			left = append(left, o.Slug)
		}
	}
	if len(left) == 0 {
		return nil
	}
	now, err := s.outcomes(ctx, actor, bulk, left)
	if err != nil {
		return err
	}
	for _, o := range now {
		if o.Err == nil && !bulk.isDone(o.Project) {
			o.Err = ErrNotFound
		}
		outcomes[slices.IndexFunc(outcomes, func(before Outcome) bool { return before.Slug == o.Slug })] = o
	}
	return nil
}

// isDone reports whether nothing is left to do to p.
func (b Bulk) isDone(p Project) bool { return b != BulkDelete && p.Status == b.status() }

func (s *Service) change(ctx context.Context, scope Scope, bulk Bulk, slugs []Slug) ([]Project, error) {
	if bulk == BulkDelete {
		return s.repository.DeleteAll(ctx, scope, slugs)
	}
	return s.repository.SetStatus(ctx, scope, slugs, bulk.status())
}

func (s *Service) outcomes(ctx context.Context, actor identity.Actor, bulk Bulk, slugs []string) ([]Outcome, error) {
	var parsed []Slug // text that cannot be a slug names no project
	for _, text := range slugs {
		if slug, err := ParseSlug(text); err == nil {
			parsed = append(parsed, slug)
		}
	}
	found, err := s.repository.BySlugs(ctx, ScopeOf(actor, ActionView), parsed)
	if err != nil {
		return nil, err
	}
	scope := ScopeOf(actor, bulk.Action())
	outcomes := make([]Outcome, len(slugs))
	for i, slug := range slugs {
		outcomes[i].Slug = slug
		switch at := slices.IndexFunc(found, func(p Project) bool { return p.Slug.String() == slug }); {
		case at < 0:
			outcomes[i].Err = ErrNotFound
		case !scope.Includes(found[at]):
			outcomes[i].Project, outcomes[i].Err = found[at], identity.ErrForbidden
		default:
			outcomes[i].Project = found[at]
		}
	}
	return outcomes, nil
}

// parseBulk returns slugs without repetitions, or an error of kind
// [fault.Invalid].
func parseBulk(bulk Bulk, slugs []string) ([]string, error) {
	var invalid violations
	if !slices.Contains(Bulks(), bulk) {
		invalid.add("action", "Use archive, restore or delete.")
	}
	var distinct []string
	for _, slug := range slugs {
		if !slices.Contains(distinct, slug) {
			distinct = append(distinct, slug)
		}
		if len(distinct) > MaxBulk {
			break
		}
	}
	switch {
	case len(distinct) == 0:
		invalid.add("project", "Choose at least one project.")
	case len(distinct) > MaxBulk:
		invalid.add("project", "Choose at most 100 projects.")
	}
	return distinct, invalid.err()
}
