// Package projectstest holds what tests of projects share: builders, and the
// contract suite that every repository passes.
package projectstest

import (
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
)

// Who makes projects in tests. A database has to know them as users.
const (
	Ada = "user_Ada"
	Bob = "user_Bob"
)

// Actor returns the member with id in a role.
func Actor(id string, role identity.Role) identity.Actor {
	return identity.Actor{AccountID: id, Role: role}
}

// NewProject returns an active, private project of [Ada]'s that is called like
// its slug. It panics for text that is no slug.
func NewProject(slug string) projects.Project {
	return projects.Project{
		Name: slug, Slug: projects.MustParseSlug(slug), CreatedBy: Ada, Status: projects.StatusActive,
	}
}

// Public returns p as a public project.
func Public(p projects.Project) projects.Project {
	p.Public = true
	return p
}

// Archived returns p as an archived project.
func Archived(p projects.Project) projects.Project {
	p.Status = projects.StatusArchived
	return p
}

// By returns p made by the member with id.
func By(id string, p projects.Project) projects.Project {
	p.CreatedBy = id
	return p
}

// Slugs returns the slugs of list in its order.
func Slugs(list []projects.Project) []string {
	slugs := make([]string, len(list))
	for i, p := range list {
		slugs[i] = p.Slug.String()
	}
	return slugs
}

// Equal fails the test unless got is want, but for ID and times, which the
// repository decides.
func Equal(t *testing.T, got, want projects.Project) {
	t.Helper()
	want.ID, want.CreatedAt, want.UpdatedAt = got.ID, got.CreatedAt, got.UpdatedAt
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
