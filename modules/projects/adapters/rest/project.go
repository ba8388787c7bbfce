package rest

import (
	"cmp"
	"time"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// Project is a project as the API shows it. The names are the table's.
type Project struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	Slug        string    `json:"slug" doc:"How addresses name the project; unique in the organization."`
	Description string    `json:"description"`
	CreatedBy   string    `json:"created_by" doc:"The id of the user who made it."`
	IsPublic    bool      `json:"is_public" doc:"Whether viewers see it."`
	Status      string    `json:"status" enum:"active,archived"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func resourceOf(p projects.Project) Project {
	return Project{
		ID:          p.ID,
		Name:        p.Name,
		Slug:        p.Slug.String(),
		Description: p.Description,
		CreatedBy:   p.CreatedBy,
		IsPublic:    p.Public,
		Status:      string(p.Status),
		CreatedAt:   p.CreatedAt,
		UpdatedAt:   p.UpdatedAt,
	}
}

// ProjectList is one page of projects.
type ProjectList struct {
	Items []Project `json:"items" nullable:"false"`
	Next  *string   `json:"next" doc:"Pass it as after to get the next page; null on the last one."`
}

func listOf(page projects.Page) ProjectList {
	list := ProjectList{Items: make([]Project, len(page.Projects))}
	for i, p := range page.Projects {
		list.Items[i] = resourceOf(p)
	}
	if !page.Next.IsZero() {
		list.Next = new(page.Next.String())
	}
	return list
}

// ProjectDraft is the body that creates a project. Its limits are those of the
// domain, which checks them again; they stand here for the OpenAPI document.
type ProjectDraft struct {
	Name        string `json:"name" minLength:"1" maxLength:"120" example:"Website relaunch"`
	Slug        string `json:"slug,omitempty" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"Derived from the name when it is missing, with a number if need be."`
	Description string `json:"description,omitempty" maxLength:"5000"`
	IsPublic    *bool  `json:"is_public,omitempty" doc:"Whether viewers see it. When it is missing, the organization's settings decide."`
	Status      string `json:"status,omitempty" enum:"active,archived" default:"active"`
}

// draft returns what is to be created in a tenant.
func (d ProjectDraft) draft(t tenancy.Tenant) projects.Draft {
	return projects.Draft{Name: d.Name, Slug: d.Slug, Description: d.Description, Public: *cmp.Or(d.IsPublic, &t.ProjectsPublic), Status: d.Status}
}

// ProjectPatch is the JSON merge patch (RFC 7396) that changes a project: what
// is missing stays. A null empties the description and makes the project
// private; the rest cannot be taken away.
type ProjectPatch struct {
	Name        httpserver.Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"120"`
	Slug        httpserver.Optional[string] `json:"slug,omitzero" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"Addresses with the old slug stop working."`
	Description httpserver.Optional[string] `json:"description,omitzero" maxLength:"5000" nullable:"true"`
	IsPublic    httpserver.Optional[bool]   `json:"is_public,omitzero" nullable:"true"`
	Status      httpserver.Optional[string] `json:"status,omitzero" enum:"active,archived"`
}

func (p ProjectPatch) change() projects.Change {
	return projects.Change{
		Name: p.Name.Value, Slug: p.Slug.Value, Description: p.Description.Value, Public: p.IsPublic.Value, Status: p.Status.Value,
	}
}
