package projects

import "github.com/tenonhq/tenon/modules/identity"

// Action is something that is done to one project.
type Action string

// Every action there is.
const (
	ActionView   Action = "view"
	ActionEdit   Action = "edit"
	ActionDelete Action = "delete"
)

// permissions are those that allow an action on everybody's projects, on one's
// own and on public ones; an empty one does not exist.
var permissions = map[Action]struct{ all, own, public identity.Permission }{
	ActionView:   {identity.ProjectsViewAll, identity.ProjectsViewOwn, identity.ProjectsViewPublic},
	ActionEdit:   {all: identity.ProjectsEditAll, own: identity.ProjectsEditOwn},
	ActionDelete: {all: identity.ProjectsDeleteAll, own: identity.ProjectsDeleteOwn},
}

// Scope is a set of a tenant's projects: the union of its parts. The zero value
// is the empty set, so whoever forgets it sees nothing.
type Scope struct {
	// All takes in every project.
	All bool
	// Public takes in public projects.
	Public bool
	// CreatedBy takes in the projects that the member with this id made; ""
	// takes in none.
	CreatedBy string
}

// ScopeOf returns the projects on which actor may do action.
func ScopeOf(actor identity.Actor, action Action) Scope {
	required := permissions[action]
	scope := Scope{All: actor.Allows(required.all), Public: actor.Allows(required.public)}
	if actor.Allows(required.own) {
		scope.CreatedBy = actor.AccountID
	}
	return scope
}

// Includes reports whether p is in s.
func (s Scope) Includes(p Project) bool {
	return s.All || s.Public && p.Public || s.CreatedBy != "" && s.CreatedBy == p.CreatedBy
}
