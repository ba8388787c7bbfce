package identity

import (
	"fmt"
	"slices"
)

// Role is what a person is in one tenant. The set is closed.
type Role string

// The four roles, from most to least.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleViewer Role = "viewer"
)

// Permission is one thing that a role may allow. "own" permissions cover what
// the person made, "all" those of everybody in the tenant.
type Permission string

// Every permission there is.
const (
	OrganizationManage Permission = "organization:manage"
	UsersManage        Permission = "users:manage"
	UsersView          Permission = "users:view"
	APIKeysManage      Permission = "apikeys:manage"
	AuditView          Permission = "audit:view"
	ProjectsCreate     Permission = "projects:create"
	ProjectsEditAll    Permission = "projects:edit:all"
	ProjectsEditOwn    Permission = "projects:edit:own"
	ProjectsDeleteAll  Permission = "projects:delete:all"
	ProjectsDeleteOwn  Permission = "projects:delete:own"
	ProjectsViewAll    Permission = "projects:view:all"
	ProjectsViewOwn    Permission = "projects:view:own"
	ProjectsViewPublic Permission = "projects:view:public"
)

// grants is the one table of who may do what. Every entry point asks it
// through [Role.Allows] or [Actor.Allows].
var grants = map[Role][]Permission{
	RoleOwner:  {OrganizationManage, UsersManage, UsersView, APIKeysManage, AuditView, ProjectsCreate, ProjectsEditAll, ProjectsDeleteAll, ProjectsViewAll},
	RoleAdmin:  {UsersManage, UsersView, APIKeysManage, AuditView, ProjectsCreate, ProjectsEditAll, ProjectsDeleteAll, ProjectsViewAll},
	RoleMember: {UsersView, ProjectsCreate, ProjectsEditOwn, ProjectsDeleteOwn, ProjectsViewPublic, ProjectsViewOwn},
	RoleViewer: {UsersView, ProjectsViewPublic},
}

// Permissions returns every permission, related ones side by side.
func Permissions() []Permission {
	return []Permission{
		ProjectsViewPublic, ProjectsViewOwn, ProjectsViewAll, ProjectsCreate, ProjectsEditOwn, ProjectsEditAll,
		ProjectsDeleteOwn, ProjectsDeleteAll, UsersView, UsersManage, APIKeysManage, AuditView, OrganizationManage,
	}
}

// Roles returns every role, from most to least.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember, RoleViewer} }

// ParseRole returns the role called name, and an error for every other text.
func ParseRole(name string) (Role, error) {
	if role := Role(name); slices.Contains(Roles(), role) {
		return role, nil
	}
	return "", fmt.Errorf("identity: not a role (want owner, admin, member or viewer)")
}

// Allows reports whether the role has permission. An unknown role has none.
func (r Role) Allows(permission Permission) bool {
	return slices.Contains(grants[r], permission)
}

// RoleOf maps the provider's role key to a role. Only the provider's built-in
// administrators become [RoleAdmin]; a key that is not known here grants the least,
// so that a role invented at the provider never opens a door by accident.
// Nobody becomes [RoleOwner] by a key: see [Project].
func RoleOf(providerRole string) Role {
	switch providerRole {
	case "org:admin", "admin":
		return RoleAdmin
	case "org:member", "basic_member":
		return RoleMember
	}
	return RoleViewer
}

// ProviderRoleOf is the way back: the provider's key for a role. Owners are
// administrators there. "org:viewer" is no role that the provider brings along:
// the instance has to have one with that key before anybody is made a viewer, or
// the provider refuses it.
func ProviderRoleOf(role Role) string {
	switch role {
	case RoleOwner, RoleAdmin:
		return "org:admin"
	case RoleMember:
		return "org:member"
	}
	return "org:viewer"
}

// below reports whether r is less than other.
func (r Role) below(other Role) bool {
	return slices.Index(Roles(), r) > slices.Index(Roles(), other)
}
