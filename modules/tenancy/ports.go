package tenancy

import (
	"context"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Registry stores tenants. It is not part of any tenant: implementations
// ignore the tenant in the context.
type Registry interface {
	// BySlug returns the tenant that URLs name slug, or [ErrNotFound].
	BySlug(ctx context.Context, slug Slug) (Tenant, error)
	// ByFormerSlug returns the tenant that had slug last and has it no more, or
	// [ErrNotFound]. A slug that a tenant has is no former one.
	ByFormerSlug(ctx context.Context, slug Slug) (Tenant, error)
	// ByID returns the tenant of the organization with id, or [ErrNotFound].
	ByID(ctx context.Context, id string) (Tenant, error)
	// ByIDs returns those of the tenants that exist, ordered by name and id.
	ByIDs(ctx context.Context, ids []string) ([]Tenant, error)
	// List returns at most limit tenants whose slug sorts after the given
	// one, ordered by slug; the zero slug starts at the beginning.
	List(ctx context.Context, after Slug, limit int) ([]Tenant, error)
	// Waiting returns the longest-standing live tenant that asked for slug
	// and got another one, or [ErrNotFound].
	Waiting(ctx context.Context, slug string) (Tenant, error)
	// Lock makes transactions that lock one of the same keys wait for each
	// other until they end. Keys are locked in the order given.
	Lock(ctx context.Context, keys ...string) error
	// Expired returns at most limit tenants whose organization was deleted
	// before a time, the longest gone first.
	Expired(ctx context.Context, before time.Time, limit int) ([]Tenant, error)
	// Delete forgets a tenant with its former slugs. One that does not exist is [ErrNotFound].
	Delete(ctx context.Context, id string) error
	// Insert adds a tenant. A slug, id or schema that exists already is an
	// error of kind [fault.Conflict].
	Insert(ctx context.Context, t Tenant) error
	// Update writes everything of the tenant but its id and schema. A slug of
	// another tenant is an error of kind [fault.Conflict]; an id that does not
	// exist is [ErrNotFound]. The slug that the tenant had becomes a former one; of
	// those it keeps the latest [MaxFormerSlugs], by UpdatedAt.
	Update(ctx context.Context, t Tenant) error
}

// MaxFormerSlugs is how many of the slugs that a tenant had lead to it.
const MaxFormerSlugs = 10

// Provisioner makes a tenant's schema with everything in it, within the
// transaction that ctx carries: it is all there once that commits, and nothing
// of it otherwise.
type Provisioner interface {
	Provision(ctx context.Context, schema tenant.Schema) error
	// Deprovision destroys a tenant's schema with everything in it, in steps
	// that are small enough for any server, each a transaction of its own. It
	// must not be called within one. What an interrupted call leaves is
	// destroyed by the next; a schema that does not exist is no error.
	Deprovision(ctx context.Context, schema tenant.Schema) error
	// Serves reports whether this program can work on a schema at version.
	Serves(version string) bool
}

// Transactor runs fn in one transaction over the registry and every tenant's
// schema. An error or a panic of fn undoes everything; inside a transaction
// already, it undoes what fn did.
type Transactor interface {
	InSystemTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// ErrNotFound is what a caller gets for a tenant that does not exist, and for
// one they are no member of: the two cannot be told apart from outside.
var ErrNotFound = fault.New(fault.NotFound, "There is no such organization, or you are not a member of it.")

// ErrOutdated is what the members of a tenant get whose schema this program
// cannot work on, in the middle of a rollout. Everybody else is served.
var ErrOutdated = fault.New(fault.Unavailable, "This organization is being upgraded. Nothing is lost; please try again in a moment.").WithRetryAfter(30 * time.Second)

// ErrSuspended is what the members of a suspended tenant get.
var ErrSuspended = fault.New(fault.Suspended, "This organization is suspended. Its data is safe. Ask its owner or our support.")
