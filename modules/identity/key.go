package identity

import (
	"slices"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
)

// Key is an API key that stands for the member who made it, in one tenant. It
// allows what was asked for when it was made, and of that what the member may do
// themselves at this moment: see [Actor.Allows].
type Key struct {
	ID string
	// TenantID is the only tenant that the key is good for.
	TenantID string
	// Permissions is the most that the key allows.
	Permissions []Permission
	CreatedAt   time.Time
}

// Errors that only keys get.
var (
	// ErrKeyForbidden is what a key gets that lacks the permission.
	ErrKeyForbidden = fault.New(fault.Forbidden, "This API key does not allow that, or whoever made it may not do it any more.")
	// ErrPersonal is what a key gets for what people do for themselves alone.
	ErrPersonal = fault.New(fault.Forbidden, "An API key cannot do that: it takes a person.")
	// ErrKeyOrphaned is what a key gets whose maker is no member any more, or is
	// one again.
	ErrKeyOrphaned = fault.New(fault.Unauthenticated, "This API key is not valid any more: whoever made it left the organization.")
)

// impliedBy holds what grants a permission as well as the permission itself.
var impliedBy = map[Permission]Permission{
	ProjectsEditOwn:    ProjectsEditAll,
	ProjectsDeleteOwn:  ProjectsDeleteAll,
	ProjectsViewOwn:    ProjectsViewAll,
	ProjectsViewPublic: ProjectsViewAll,
}

// covers reports whether granted has permission or one that implies it.
func covers(granted []Permission, permission Permission) bool {
	implying, ok := impliedBy[permission]
	return slices.Contains(granted, permission) || ok && slices.Contains(granted, implying)
}

// Covers reports whether a key of somebody in the role may be given permission.
func (r Role) Covers(permission Permission) bool { return covers(grants[r], permission) }

// joinedLeeway is how far the provider's clock, by which somebody joined, may be
// from ours, by which a key was made.
const joinedLeeway = time.Minute

// admits returns nil when the key may act as member in the tenant with id.
// Whoever left and came back does not bring old keys along.
func (k *Key) admits(tenantID string, member Member) error {
	switch {
	case k == nil:
		return nil
	case k.TenantID != tenantID:
		return errUnknownTenant
	case member.JoinedAt.After(k.CreatedAt.Add(joinedLeeway)):
		return ErrKeyOrphaned
	}
	return nil
}
