package database

import (
	"context"
	"errors"

	"github.com/tenonhq/tenon/platform/tenant"
)

// These are mistakes of the program, found before anything is sent. They have
// no fault kind on purpose: what a client sees is an internal error.
var (
	// ErrNoTenant is a statement of [DB.Tenants], or a tenant's transaction,
	// whose context names no tenant.
	ErrNoTenant = errors.New("database: the context names no tenant")
	// ErrOtherTenant is a statement whose context names another tenant than
	// the transaction it would run in.
	ErrOtherTenant = errors.New("database: the transaction belongs to another tenant")
	// ErrOtherScope is a statement of one handle inside a transaction of the
	// other, such as [DB.Registry] within [DB.InTenantTx].
	ErrOtherScope = errors.New("database: the transaction belongs to the other handle")
	// ErrUnscoped is a statement that reached the driver through neither
	// [DB.Tenants] nor [DB.Registry], so nobody said which schema it is for.
	ErrUnscoped = errors.New("database: the statement came through neither handle")
)

// scope is where the statements of a handle or a transaction run.
type scope uint8

const (
	unscoped      scope = iota
	tenantScope         // the schema of the tenant that the context names
	registryScope       // public
	systemScope         // a transaction only: each statement brings its own scope
	ownerScope          // the tenant's schema again, with the login's own rights
	controlScope        // this package's own savepoint statements: no path
)

type scopeKey struct{}

func withScope(ctx context.Context, s scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(scopeKey{}).(scope)
	return s
}

// boundary is what an open transaction allows; nil stands for no transaction.
type boundary struct {
	scope  scope
	schema tenant.Schema // for tenantScope and ownerScope
}

// newBoundary decides what a transaction opened with ctx is bound to.
func newBoundary(ctx context.Context) (*boundary, error) {
	switch s := scopeOf(ctx); s {
	case tenantScope, ownerScope:
		schema, ok := tenant.FromContext(ctx)
		if !ok {
			return nil, ErrNoTenant
		}
		return &boundary{scope: s, schema: schema}, nil
	case registryScope, systemScope:
		return &boundary{scope: s}, nil
	default:
		return nil, ErrUnscoped
	}
}

// path returns the SET LOCAL that follows the BEGIN of such a transaction.
func (b *boundary) path(roles *roles) string {
	switch b.scope {
	case tenantScope:
		return tenantPath(b.schema) + roles.prefix(b.schema)
	case ownerScope:
		return tenantPath(b.schema)
	case registryScope:
		return registryPath
	default:
		return ""
	}
}

// prefix returns what has to stand in front of a statement sent with ctx, or
// why the statement must not be sent at all. A system transaction keeps the
// login's rights.
func (b *boundary) prefix(ctx context.Context, roles *roles) (string, error) {
	s := scopeOf(ctx)
	if b == nil || b.scope == systemScope {
		switch s {
		case tenantScope, ownerScope:
			schema, ok := tenant.FromContext(ctx)
			if !ok {
				return "", ErrNoTenant
			}
			if b == nil && s == tenantScope {
				return tenantPath(schema) + roles.prefix(schema), nil
			}
			return tenantPath(schema), nil
		case registryScope:
			return registryPath, nil
		case controlScope:
			if b != nil {
				return "", nil
			}
		}
		return "", ErrUnscoped
	}
	// A bun.Tx sends its statements without a scope; the transaction has one.
	if s != unscoped && s != controlScope && s != b.scope {
		return "", ErrOtherScope
	}
	if b.scope == tenantScope || b.scope == ownerScope {
		switch schema, ok := tenant.FromContext(ctx); {
		case !ok:
			return "", ErrNoTenant
		case schema != b.schema:
			return "", ErrOtherTenant
		}
	}
	return "", nil
}

// A path that does not name pg_temp begins with it: a temporary table would hide the
// tenant's own from everybody who comes to the connection later.
const (
	pathHead     = `SET LOCAL search_path TO "`
	pathTail     = `", pg_temp; `
	registryPath = pathHead + "public" + pathTail
)

// confines reports whether a statement sent with ctx has to stay within one
// tenant: it is a tenant's own, and no part of a system transaction.
func (b *boundary) confines(ctx context.Context) bool {
	if b == nil {
		return scopeOf(ctx) == tenantScope
	}
	return b.scope == tenantScope
}

// tenantPath is where a tenant becomes SQL. The quotes need no escaping:
// tenant.Parse lets neither quotes nor backslashes into a Schema.
func tenantPath(schema tenant.Schema) string {
	return pathHead + schema.String() + pathTail
}
