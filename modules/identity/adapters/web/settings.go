package web

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// SettingsPages are the pages where an owner changes the organization, or ends
// it.
type SettingsPages struct {
	settings *identity.Settings
	instance *clerk.Instance
	errors   *httpserver.ErrorWriter
}

// NewSettingsPages returns the pages. What they cannot answer is answered by
// errors.
func NewSettingsPages(settings *identity.Settings, instance *clerk.Instance, errors *httpserver.ErrorWriter) *SettingsPages {
	return &SettingsPages{settings: settings, instance: instance, errors: errors}
}

// Mount adds the pages to a router whose requests were let into a tenant.
func (p *SettingsPages) Mount(r chi.Router) {
	for _, page := range []struct {
		method, pattern string
		handle          func(http.ResponseWriter, *http.Request, identity.Access) error
	}{
		{http.MethodGet, "/settings", p.show},
		{http.MethodPost, "/settings", p.change},
		{http.MethodGet, "/settings/sign-in", p.showSignIn},
		{http.MethodGet, "/settings/delete", p.confirmDelete},
		{http.MethodPost, "/settings/delete", p.delete},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access := identity.AccessOf(r.Context())
			if err := p.settings.Authorize(access.Actor()); err != nil {
				return err
			}
			return page.handle(w, r, access)
		}))
	}
}

// enteredSettings are what a form shows: what is stored, or what was sent.
type enteredSettings struct {
	name, slug     string
	projectsPublic bool
	// version is the state that the form was filled with.
	version string
	// isConflict is whether the settings are in another state by now.
	isConflict bool
}

// versions are the states that the form may overwrite; nil is any, for one that does
// not say.
func (e enteredSettings) versions() []string {
	if e.version == "" {
		return nil
	}
	return []string{e.version}
}

// stored returns the form of the settings as they are.
func (p *SettingsPages) stored(t tenancy.Tenant) enteredSettings {
	return enteredSettings{name: t.Name, slug: t.Slug.String(), projectsPublic: t.ProjectsPublic, version: p.settings.Version(t)}
}

// beginning says how a tenant's new projects are.
func beginning(t tenancy.Tenant) string {
	if t.ProjectsPublic {
		return "public"
	}
	return "private"
}

// hasProfile reports whether there is a page of the provider's about the
// organization.
func (p *SettingsPages) hasProfile() bool {
	_, has := p.instance.Components()
	return has
}

// imageText says where the organization's image is from.
func imageText(url string, hasProfile bool) string {
	text := "It is the one at Clerk."
	if url == "" {
		text = "There is none at Clerk, so initials stand in."
	}
	if !hasProfile {
		text += " It is changed there."
	}
	return text
}

func (p *SettingsPages) show(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return web.Render(w, r, http.StatusOK, "Settings", settingsPage(access, p.stored(access.Tenant), p.hasProfile(), nil))
}

func (p *SettingsPages) change(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	entered := enteredSettings{
		name: r.PostForm.Get("name"), slug: r.PostForm.Get("slug"), projectsPublic: r.PostForm.Get("projects_public") != "", version: r.PostForm.Get("version"),
	}
	changed, err := p.settings.Change(r.Context(), access, entered.versions(), identity.SettingsChange{
		Name: &entered.name, Slug: &entered.slug, ProjectsPublic: &entered.projectsPublic,
	})
	if errors.Is(err, identity.ErrSettingsChanged) {
		stored := p.stored(access.Tenant)
		if entered.version = stored.version; entered == stored { // the other person had the same idea
			changed, err = access.Tenant, nil
		} else {
			entered.isConflict = true
			w.Header().Set("HX-Retarget", "#main") // whatever the status
			return web.Render(w, r, http.StatusConflict, "Settings", settingsPage(access, entered, p.hasProfile(), nil))
		}
	}
	if status, shown := refused(w, r, err); shown != nil {
		return web.Render(w, r, status, "Settings", settingsPage(access, entered, p.hasProfile(), shown))
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, httpserver.TenantBase(r.Context(), changed.Slug.String())+"/settings", &web.Flash{Kind: ui.Success, Message: "The settings were saved."})
	return nil
}

// showSignIn is about who gets in, and how. It is a page of its own because it asks
// the provider, whom the other settings do not wait for.
func (p *SettingsPages) showSignIn(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	shown := signInSettings{hasProfile: p.hasProfile()}
	var err error
	shown.domains, err = p.settings.Domains(r.Context(), access)
	switch {
	case passing(err):
		shown.trouble = fault.As(err)
	case err != nil:
		return err
	}
	return web.Render(w, r, http.StatusOK, "Sign-in", signInSettingsPage(access, shown))
}

// signInSettings is what the page of the sign-in shows.
type signInSettings struct {
	domains []identity.Domain
	// trouble is why the domains are not known, nil when they are.
	trouble *fault.Error
	// hasProfile is whether there is a page of the provider's to change them.
	hasProfile bool
}

// The provider's pages of an organization, as its component names them.
const (
	profileDomains  = organizationProfilePath + "#/"
	profileSecurity = organizationProfilePath + "#/organization-security"
)

func enrollmentText(e identity.Enrollment) string {
	switch e {
	case identity.EnrollByInvitation:
		return "Invited by themselves"
	case identity.EnrollBySuggestion:
		return "May ask to join"
	}
	return "Invited by hand"
}

func (p *SettingsPages) confirmDelete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return web.Render(w, r, http.StatusOK, "Delete "+access.Tenant.Name, ui.Confirm(dissolution(web.FromContext(r.Context()), access)))
}

func (p *SettingsPages) delete(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	err := p.settings.Delete(r.Context(), access, r.PostForm.Get("confirmation"))
	switch {
	case fault.Is(err, fault.Invalid):
		question := dissolution(web.FromContext(r.Context()), access)
		question.Error = ui.FieldError(fault.As(err), "confirmation")
		return web.Render(w, r, http.StatusUnprocessableEntity, "Delete "+access.Tenant.Name, ui.Confirm(question))
	case passing(err):
		return answered(w, r, err, "", "/settings")
	case err != nil:
		return err
	}
	web.Redirect(w, r, httpserver.PublicAddress(r.Context(), "/"), &web.Flash{Kind: ui.Success, Message: access.Tenant.Name + " was deleted."})
	return nil
}

// dissolution is the question before an organization is deleted.
func dissolution(shell *web.Shell, access identity.Access) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "delete-organization",
		Title:        "Delete " + access.Tenant.Name + "?",
		Description:  "All members lose access at once, and the organization's data is destroyed after a grace period. You cannot take this back.",
		Action:       shell.Link("/settings/delete"),
		ConfirmLabel: "Delete organization",
		CancelHref:   shell.Link("/settings"),
		Typed:        access.Tenant.Slug.String(),
	}
}
