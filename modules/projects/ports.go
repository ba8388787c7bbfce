package projects

import (
	"context"

	"github.com/tenonhq/tenon/platform/fault"
)

// Repository stores the projects of the tenant in the context; without a tenant
// every method fails. Projects outside of a method's scope are left alone and
// cannot be told from those that do not exist. projectstest holds the suite
// that every implementation passes.
type Repository interface {
	// List returns the projects of scope that pass the listing's filter, after
	// its cursor, at most its limit, in its order.
	List(ctx context.Context, scope Scope, listing Listing) ([]Project, error)
	// BySlug returns one project. Errors: [ErrNotFound].
	BySlug(ctx context.Context, scope Scope, slug Slug) (Project, error)
	// BySlugs returns those of the projects that there are, in no particular
	// order.
	BySlugs(ctx context.Context, scope Scope, slugs []Slug) ([]Project, error)
	// ByID returns one project, whatever its slug is by now. Errors:
	// [ErrNotFound].
	ByID(ctx context.Context, scope Scope, id int64) (Project, error)
	// Makers returns the ids of the members who made the projects of scope, those
	// who made most first, at most limit.
	Makers(ctx context.Context, scope Scope, limit int) ([]string, error)
	// Insert adds a project, whose ID and times it decides, and returns it.
	// Errors: [ErrSlugTaken], after which a transaction can go on.
	Insert(ctx context.Context, p Project) (Project, error)
	// Update makes edits to a project that is in one of versions, in one step,
	// and returns it as it is then, in a version of its own. Errors:
	// [ErrNotFound] also for a project in another version, [ErrSlugTaken].
	Update(ctx context.Context, scope Scope, slug Slug, versions Versions, edits Edits) (Project, error)
	// Delete removes a project that is in one of versions, in one step, and
	// returns it as it was. Errors: [ErrNotFound] also for a project in another
	// version.
	Delete(ctx context.Context, scope Scope, slug Slug, versions Versions) (Project, error)
	// SetStatus gives a status to those of the projects that have another one, in
	// one step, and returns these as they are then, each in a version of its own.
	SetStatus(ctx context.Context, scope Scope, slugs []Slug, status Status) ([]Project, error)
	// DeleteAll removes those of the projects that there are, in one step, and
	// returns them as they were.
	DeleteAll(ctx context.Context, scope Scope, slugs []Slug) ([]Project, error)
	// Summarize counts the projects of scope, those that the member with
	// accountID made among them, and returns the newest ones, at most recent.
	Summarize(ctx context.Context, scope Scope, accountID string, recent int) (Summary, error)
	// Numbered returns which of the tenant's slugs are stem, or stem with a
	// hyphen and digits behind it, in no particular order.
	Numbered(ctx context.Context, stem Slug) ([]Slug, error)
}

// Summary is a tenant's projects at a glance.
type Summary struct {
	All, Active, Archived, Mine int
	// Recent are the newest projects, the newest first.
	Recent []Project
}

// ErrNotFound is what a caller gets for a project that does not exist and for
// one they may not see: the two cannot be told apart from outside.
var ErrNotFound = fault.New(fault.NotFound, "There is no such project, or you may not see it.")

// ErrSlugTaken is what a caller gets who asks for another project's slug.
var ErrSlugTaken = fault.New(fault.Conflict, "Another project is there already.").
	WithField("slug", "Another project has this one. Choose another.")
