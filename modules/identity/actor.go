package identity

import (
	"context"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/origin"
)

// Actor is who does something in a tenant, as use cases see them: enough to
// decide what they may do, and to name them as an author.
type Actor struct {
	// AccountID is the id of the acting person's row in the tenant's users.
	AccountID string
	// Role is the person's role in this tenant.
	Role Role
	// Key is the API key by which they act, nil for the person themselves.
	Key *Key
}

// Allows reports whether the actor has permission. A key has it when the person's
// role covers it now and the key does.
func (a Actor) Allows(permission Permission) bool {
	if a.Key == nil {
		return a.Role.Allows(permission)
	}
	return a.Role.Covers(permission) && covers(a.Key.Permissions, permission)
}

// Require returns nil when the actor has one of permissions, and otherwise an
// error of kind [fault.Forbidden].
func (a Actor) Require(permissions ...Permission) error {
	for _, permission := range permissions {
		if a.Allows(permission) {
			return nil
		}
	}
	if a.Key != nil {
		return ErrKeyForbidden
	}
	return ErrForbidden
}

// RequirePerson returns nil for a person, and [ErrPersonal] for a key.
func (a Actor) RequirePerson() error {
	if a.Key != nil {
		return ErrPersonal
	}
	return nil
}

// ErrForbidden is what an actor gets who lacks the permission.
var ErrForbidden = fault.New(fault.Forbidden, "Your role in this organization does not allow that.")

// Access is what a request may count on once it was let into a tenant.
type Access struct {
	Session Session
	Tenant  tenancy.Tenant
	Member  Member
}

// Actor returns the acting person, or the key that acts for them.
func (a Access) Actor() Actor {
	return Actor{AccountID: a.Member.ID, Role: a.Member.Role, Key: a.Session.Key}
}

type (
	sessionKey struct{}
	accessKey  struct{}
)

// NewSessionContext returns a context that carries a verified session, from which
// its changes come.
func NewSessionContext(ctx context.Context, session Session) context.Context {
	from := origin.FromContext(ctx)
	from.Kind, from.Actor = origin.Person, session.AccountID
	if session.Key != nil {
		from.Kind, from.APIKey = origin.Key, session.Key.ID
	}
	return context.WithValue(origin.NewContext(ctx, from), sessionKey{}, session)
}

// SessionFromContext returns the verified session; ok is false for a request
// that is signed out.
func SessionFromContext(ctx context.Context) (session Session, ok bool) {
	session, ok = ctx.Value(sessionKey{}).(Session)
	return session, ok
}

// NewAccessContext returns a context for a request that was let into a tenant.
func NewAccessContext(ctx context.Context, access Access) context.Context {
	return context.WithValue(ctx, accessKey{}, access)
}

// AccessOf is [AccessFromContext] with nobody's access, who may do nothing, for a
// request that is not in a tenant.
func AccessOf(ctx context.Context) Access {
	access, _ := AccessFromContext(ctx)
	return access
}

// AccessFromContext returns what [Service.Enter] granted; ok is false outside
// a tenant.
func AccessFromContext(ctx context.Context) (access Access, ok bool) {
	access, ok = ctx.Value(accessKey{}).(Access)
	return access, ok
}
