package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	settingsPath = "/settings"
	domainsPath  = "/domains"
)

// Settings are a tenant's as the API shows them. The names are the table's.
type Settings struct {
	ID             string    `json:"id" doc:"The organization's id at the identity provider."`
	Name           string    `json:"name"`
	Slug           string    `json:"slug" doc:"How addresses name the organization; unique among all."`
	ImageURL       string    `json:"image_url" doc:"Its picture, which is changed at the identity provider; empty when there is none."`
	ProjectsPublic bool      `json:"projects_public" doc:"Whether a new project is public unless its maker says otherwise."`
	CreatedAt      time.Time `json:"created_at"`
}

func settingsOf(t tenancy.Tenant) Settings {
	return Settings{ID: t.ID, Name: t.Name, Slug: t.Slug.String(), ImageURL: t.ImageURL, ProjectsPublic: t.ProjectsPublic, CreatedAt: t.CreatedAt.UTC()}
}

// Domain is one that an organization claims at the identity provider.
type Domain struct {
	Name       string `json:"name" example:"acme.example"`
	Verified   bool   `json:"verified" doc:"Whether the identity provider believes that it is the organization's."`
	Enrollment string `json:"enrollment" enum:"manual,invitation,suggestion" doc:"What people with an address there get: an invitation by hand, one by itself, or the suggestion to ask for one."`
}

// DomainList is all of a tenant's domains.
type DomainList struct {
	Items []Domain `json:"items" nullable:"false"`
}

func domainListOf(domains []identity.Domain) DomainList {
	list := DomainList{Items: make([]Domain, len(domains))}
	for i, domain := range domains {
		list.Items[i] = Domain{Name: domain.Name, Verified: domain.Verified, Enrollment: enrollmentOf(domain.Enrollment)}
	}
	return list
}

// enrollmentOf takes a way that is not known for none by itself.
func enrollmentOf(e identity.Enrollment) string {
	switch e {
	case identity.EnrollByInvitation:
		return "invitation"
	case identity.EnrollBySuggestion:
		return "suggestion"
	}
	return "manual"
}

// SettingsPatch is the JSON merge patch (RFC 7396) that changes settings: what is
// missing stays. A null makes new projects private; the rest cannot be taken away.
type SettingsPatch struct {
	Name           httpserver.Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" example:"Acme Corporation"`
	Slug           httpserver.Optional[string] `json:"slug,omitzero" minLength:"2" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" example:"acme"`
	ProjectsPublic httpserver.Optional[bool]   `json:"projects_public,omitzero" nullable:"true"`
}

// settingsAPI holds the operations' handlers.
type settingsAPI struct{ settings *identity.Settings }

func registerSettings(to huma.API, settings *identity.Settings) {
	api := &settingsAPI{settings}
	const tag = "Settings"
	register(to, operation{
		id: "get-settings", method: http.MethodGet, path: settingsPath, tag: tag,
		authorize: may(func(identity.Actor) error { return nil }), // everybody who gets in sees what their organization is called
		summary:   "Get the settings", description: "What the organization is called, where it is found, and what new projects are like. The ETag names the version you got, for If-None-Match and If-Match.",
	}, api.get)
	register(to, operation{
		id: "update-settings", method: http.MethodPatch, path: settingsPath, tag: tag, authorize: may(settings.Authorize),
		summary: "Change the settings",
		description: "Takes a JSON merge patch (RFC 7396): what is missing stays as it is. A null makes new projects private; the rest cannot be taken away. With another slug the organization is found under the new one, which Content-Location shows; requests to the old one are answered 308 until another organization takes it. " +
			"With If-Match, they are changed only while they are as you know them. The identity provider is asked first: when it is busy or away you get 429 or 503, and nothing has changed.",
		errors: []int{http.StatusConflict, http.StatusPreconditionFailed},
	}, api.update)
	register(to, operation{
		id: "list-domains", method: http.MethodGet, path: domainsPath, tag: tag, authorize: may(settings.Authorize),
		summary:     "List domains",
		description: "Lists all domains that the organization claims, verified ones and others, by name. They are added, verified and removed at the identity provider, which is asked: when it is busy or away you get 429 or 503.",
	}, api.domains)
	register(to, operation{
		id: "delete-organization", method: http.MethodDelete, path: "", tag: tag, authorize: may(settings.AuthorizeDelete),
		summary: "Delete the organization",
		description: "All members lose access at once, and the data is destroyed after a grace period. It takes an owner in person, who repeats the slug: API keys cannot do it. " +
			"The identity provider is asked first: when it is busy or away you get 429 or 503, and nothing has changed.",
		status: http.StatusNoContent,
	}, api.delete)
}

type settingsOutput struct {
	ContentLocation string `header:"Content-Location" doc:"Where the settings are."`
	ETag            string `header:"ETag" doc:"The settings' version, for If-Match and If-None-Match."`
	Body            Settings
}

func (a *settingsAPI) output(t tenancy.Tenant) *settingsOutput {
	return &settingsOutput{
		ContentLocation: tenantPath(t, settingsPath), ETag: httpserver.EntityTag(a.settings.Version(t)), Body: settingsOf(t),
	}
}

func (a *settingsAPI) get(ctx context.Context, _ *struct{}) (*settingsOutput, error) {
	return a.output(identity.AccessOf(ctx).Tenant), nil
}

type updateSettingsInput struct {
	IfMatch string `header:"If-Match" doc:"The ETags of the versions that may be changed; 412 if the settings are in another one by then." example:"\"4bf1a2ee0c5d9b3e7a61f08d\""`
	Body    SettingsPatch
}

func (a *settingsAPI) update(ctx context.Context, in *updateSettingsInput) (*settingsOutput, error) {
	change := identity.SettingsChange{Name: in.Body.Name.Value, Slug: in.Body.Slug.Value, ProjectsPublic: in.Body.ProjectsPublic.Value}
	changed, err := a.settings.Change(ctx, identity.AccessOf(ctx), httpserver.IfMatch(in.IfMatch), change)
	if err != nil {
		return nil, err
	}
	return a.output(changed), nil
}

type domainsOutput struct{ Body DomainList }

func (a *settingsAPI) domains(ctx context.Context, _ *struct{}) (*domainsOutput, error) {
	domains, err := a.settings.Domains(ctx, identity.AccessOf(ctx))
	if err != nil {
		return nil, err
	}
	return &domainsOutput{Body: domainListOf(domains)}, nil
}

type deleteOrganizationInput struct {
	Confirmation string `query:"confirmation" required:"true" doc:"The organization's slug, so that nobody deletes another one by mistake." example:"acme"`
}

func (a *settingsAPI) delete(ctx context.Context, in *deleteOrganizationInput) (*struct{}, error) {
	return nil, a.settings.Delete(ctx, identity.AccessOf(ctx), in.Confirmation)
}
