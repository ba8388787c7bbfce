package clerkdev

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The roles that every instance has, and cannot be without.
const (
	creatorRole = "org:admin" // whoever makes an organization has it there
	memberRole  = "org:member"
)

var (
	roleKeyPattern       = regexp.MustCompile(`^org:[a-z][a-z0-9_]{0,62}$`)
	permissionKeyPattern = regexp.MustCompile(`^org:[a-z][a-z0-9_]{0,62}:[a-z][a-z0-9_]{0,62}$`)
)

// Role is one that an instance has beside its own.
type Role struct {
	Key  string // such as "org:editor"
	Name string // for people
	// Permissions ("org:projects:create") are carried by tokens.
	Permissions []string
}

// DefineRole gives a role key ("org:editor") a name for people and its
// permissions ("org:projects:create"), which tokens then carry.
func (e *Emulator) DefineRole(key, name string, permissions ...string) error {
	return e.update(sender{}, func(t *tx) error { return t.putRole(key, role{Name: name, Permissions: permissions}) })
}

// ensureRole defines a role that the instance does not have.
func (e *Emulator) ensureRole(r Role) (err error) {
	known := false
	e.view(func(s *state) { known = s.Roles[r.Key] != nil })
	if known {
		return nil
	}
	return e.DefineRole(r.Key, r.Name, r.Permissions...)
}

// upgrade adds what an older state file does not have: domains, and ids of roles.
func (s *state) upgrade() {
	if s.Domains == nil {
		s.Domains = map[string]*domain{}
	}
	for key, r := range s.Roles {
		if r.ID == "" {
			changed := *r
			changed.ID = newID("role")
			s.Roles[key] = &changed
		}
	}
}

// putRole defines a role, or changes what its key stands for.
func (t *tx) putRole(key string, r role) error {
	if !roleKeyPattern.MatchString(key) {
		return errFormat("key", "A role key looks like org:editor.")
	}
	if strings.TrimSpace(r.Name) == "" {
		return errMissing("name")
	}
	if err := cmp.Or(checkName("name", &r.Name), checkName("description", &r.Description)); err != nil {
		return err
	}
	for _, permission := range r.Permissions {
		if !permissionKeyPattern.MatchString(permission) {
			return errFormat("permissions", "A permission key looks like org:projects:create.")
		}
	}
	r.ID, r.CreatedAt, r.UpdatedAt, r.Permissions = newID("role"), t.now, t.now, slices.Clone(r.Permissions)
	if known := t.Roles[key]; known != nil {
		r.ID, r.CreatedAt = known.ID, known.CreatedAt
	}
	t.Roles[key] = &r
	return nil
}

// createRole defines a role that was not there.
func (t *tx) createRole(key string, r role) error {
	if t.Roles[key] != nil {
		return errTaken("key", "There is a role with this key already.")
	}
	if err := t.putRole(key, r); err != nil {
		return err
	}
	return t.emit("role.created", t.roleResource(key))
}

// checkRole returns nil for a role that the instance has. Clerk's reference
// gives 404 among the answers to a membership and an invitation, and says
// nothing of a role that is not there; here that is what is not found.
func (s *state) checkRole(key string) error {
	switch {
	case key == "":
		return errMissing("role")
	case !roleKeyPattern.MatchString(key):
		return errValue("role", "A role key looks like org:editor.")
	case s.Roles[key] == nil:
		return errNotFound("organization role")
	}
	return nil
}

// roleName is what people call a role.
func (s *state) roleName(key string) string {
	if r := s.Roles[key]; r != nil {
		return r.Name
	}
	// One that an older state file has people in.
	return strings.TrimPrefix(key, "org:")
}

func (s *state) permissions(roleKey string) []string {
	if r := s.Roles[roleKey]; r != nil && r.Permissions != nil {
		return r.Permissions
	}
	return []string{}
}

type roleResource struct {
	Object            string               `json:"object"`
	ID                string               `json:"id"`
	Key               string               `json:"key"`
	Name              string               `json:"name"`
	Description       string               `json:"description"`
	Permissions       []permissionResource `json:"permissions"`
	IsCreatorEligible bool                 `json:"is_creator_eligible"`
	CreatedAt         int64                `json:"created_at"`
	UpdatedAt         int64                `json:"updated_at"`
}

type permissionResource struct {
	Object      string `json:"object"`
	ID          string `json:"id"`
	Key         string `json:"key"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        string `json:"type"`
	CreatedAt   int64  `json:"created_at"`
	UpdatedAt   int64  `json:"updated_at"`
}

// permissionID is that of a permission, of which nothing is kept but the key.
func permissionID(key string) string {
	return "perm_" + strings.NewReplacer("org:", "", ":", "_").Replace(key)
}

func (s *state) roleResource(key string) roleResource {
	r := s.Roles[key]
	resource := roleResource{
		Object: "role", ID: r.ID, Key: key, Name: r.Name, Description: r.Description, Permissions: []permissionResource{},
		IsCreatorEligible: true, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	for _, needed := range []string{readMembers, manageMembers, deleteProfile} {
		resource.IsCreatorEligible = resource.IsCreatorEligible && slices.Contains(r.Permissions, needed)
	}
	for _, permission := range r.Permissions {
		kind := "user"
		if strings.HasPrefix(permission, "org:sys_") {
			kind = "system"
		}
		resource.Permissions = append(resource.Permissions, permissionResource{
			Object: "permission", ID: permissionID(permission), Key: permission, Name: permission, Type: kind, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		})
	}
	return resource
}

// allRoles are those whose key or name has a text in it, by their keys.
func (s *state) allRoles(query string) []roleResource {
	all, query := []roleResource{}, strings.ToLower(query)
	for _, key := range slices.Sorted(maps.Keys(s.Roles)) {
		if strings.Contains(key, query) || strings.Contains(strings.ToLower(s.Roles[key].Name), query) {
			all = append(all, s.roleResource(key))
		}
	}
	return all
}

func (e *Emulator) listAllRoles(c *call) (any, error) {
	query, err := c.query("query")
	if err != nil {
		return nil, err
	}
	return listed(query, c.allRoles(query.Get("query")), orders[roleResource]{
		"created_at": byCreation(func(r roleResource) (int64, string) { return r.CreatedAt, r.ID }),
		"name":       by(func(r roleResource) string { return strings.ToLower(r.Name) }),
		"key":        by(func(r roleResource) string { return r.Key }),
	})
}

// role returns the key of the role whose id the path has.
func (c *call) role() (key string, err error) {
	for key, r := range c.Roles {
		if r.ID == c.r.PathValue("role") {
			return key, nil
		}
	}
	return "", errNotFound("organization role")
}

func (e *Emulator) getRole(c *call) (any, error) {
	key, err := c.role()
	if err != nil {
		return nil, err
	}
	return c.roleResource(key), nil
}

// roleParams are what a role is made of. Permissions are given by their ids, of
// which the emulator knows those that some role has.
type roleParams struct {
	Name        *string  `json:"name"`
	Key         *string  `json:"key"`
	Description *string  `json:"description"`
	Permissions []string `json:"permissions"`
}

// apply returns the role with what was given in the place of what it was.
func (p roleParams) apply(s *state, r role) (role, error) {
	if p.Name != nil {
		r.Name = *p.Name
	}
	if p.Description != nil {
		r.Description = *p.Description
	}
	if p.Permissions == nil {
		return r, nil
	}
	known := map[string]string{}
	for _, other := range s.Roles {
		for _, permission := range other.Permissions {
			known[permissionID(permission)] = permission
		}
	}
	r.Permissions = nil
	for _, id := range p.Permissions {
		if known[id] == "" {
			return role{}, errNotFound("organization permission")
		}
		r.Permissions = append(r.Permissions, known[id])
	}
	return r, nil
}

func (e *Emulator) postRole(c *call, t *tx) (any, error) {
	var params struct {
		roleParams
		// There are no role sets here: every organization has every role.
		InitialRoleSet bool `json:"include_in_initial_role_set"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	key := text(params.Key)
	if key == "" {
		return nil, errMissing("key")
	}
	made, err := params.apply(t.state, role{})
	if err != nil {
		return nil, err
	}
	if err := t.createRole(key, made); err != nil {
		return nil, err
	}
	return t.roleResource(key), nil
}

func (e *Emulator) patchRole(c *call, t *tx) (any, error) {
	key, err := c.role()
	if err != nil {
		return nil, err
	}
	var params roleParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	if params.Key != nil && *params.Key != key {
		return nil, errValue("key", "The local emulator does not change keys: people have the role by it.")
	}
	changed, err := params.apply(t.state, *t.Roles[key])
	if err != nil {
		return nil, err
	}
	if err := t.putRole(key, changed); err != nil {
		return nil, err
	}
	return t.roleResource(key), t.emit("role.updated", t.roleResource(key))
}

func (e *Emulator) removeRole(c *call, t *tx) (any, error) {
	key, err := c.role()
	if err != nil {
		return nil, err
	}
	return t.deleteRole(key)
}

// deleteRole takes a role away that nobody has or is invited with.
func (t *tx) deleteRole(key string) (deletedResource, error) {
	if users := t.usersOfRole(key); users > 0 || key == creatorRole || key == memberRole {
		return deletedResource{}, &apiError{
			http.StatusForbidden, "organization_role_in_use", "The role is in use",
			fmt.Sprintf("%s is one of the instance's own roles, or people have it or are invited with it (%d).", key, users), "",
		}
	}
	deleted := deletedResource{Object: "role", ID: t.Roles[key].ID, Deleted: true}
	delete(t.Roles, key)
	return deleted, t.emit("role.deleted", deleted)
}

// usersOfRole counts the members with a role and the open invitations to it.
func (s *state) usersOfRole(key string) (n int) {
	for _, m := range s.Memberships {
		if m.Role == key {
			n++
		}
	}
	for _, i := range s.Invitations {
		if i.Status == "pending" && i.Role == key {
			n++
		}
	}
	return n
}
