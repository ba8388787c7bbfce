package web

import (
	"cmp"
	"context"
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

// Pages are the pages between signing up and the dashboard.
type Pages struct {
	gate    *Gate
	service *identity.Service
	errors  *httpserver.ErrorWriter
}

// NewPages returns the pages.
func NewPages(gate *Gate, service *identity.Service, errors *httpserver.ErrorWriter) *Pages {
	return &Pages{gate: gate, service: service, errors: errors}
}

// Where people sign in, up and out. The pages themselves are the identity
// provider's; these addresses stay the same whichever that is.
const (
	signInPath  = clerk.SignInPath
	signUpPath  = clerk.SignUpPath
	signOutPath = clerk.SignOutPath
	// organizationProfilePath is below a tenant's own path.
	organizationProfilePath = "/organization"
	// welcomePath is where the provider's pages lead who signed up or made an
	// organization.
	welcomePath = "/onboarding"
	// createOrganizationPath is where who has no organization is led to make one,
	// whichever the identity provider is.
	createOrganizationPath = "/organizations/new"

	// returnParam names the path to come back to.
	returnParam = httpserver.ReturnParam
)

// Public mounts the landing page, which is the way in for who is signed in, and
// the identity provider's pages, or the ways to them.
func (p *Pages) Public(r chi.Router) {
	pages := r.With(p.gate.Authenticate, p.gate.PublicShell)
	pages.Get("/", p.errors.Handle(p.landing))
	_, hasComponents := p.gate.instance.Components()
	for _, way := range []struct {
		path             string
		url              func(returnTo string) string
		back             string // unless the request says where to
		component, title string
	}{
		{signInPath, p.gate.instance.SignInURL, "/", "sign-in", "Sign in"},
		{signUpPath, p.gate.instance.SignUpURL, welcomePath, "sign-up", "Sign up"},
		{signOutPath, p.gate.instance.SignOutURL, "/", "sign-out", "Sign out"},
		{clerk.SessionTaskPath, p.gate.instance.SessionTaskURL, "/", "session-task", "One more step"},
	} {
		if hasComponents {
			pages.Get(way.path, p.component(way.component, way.title, way.back))
			continue
		}
		r.Get(way.path, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, way.url(cmp.Or(r.URL.Query().Get(returnParam), way.back)), http.StatusSeeOther)
		})
	}
}

// SignedIn mounts what needs a session and no tenant.
func (p *Pages) SignedIn(r chi.Router) {
	r.Get(welcomePath, p.errors.Handle(p.welcome))
	r.Get(clerk.ProfilePath, p.component("user-profile", "Your account", "/"))
	r.Get(clerk.OrganizationsPath, p.component("organization-list", "Your organizations", "/"))
}

var errNoComponents = fault.New(fault.NotFound, "This page is Clerk’s, and the local emulator has none of it.")

// component shows one of the identity provider's own components, which leads to
// where the request says, or back. Without them the page is not there.
func (p *Pages) component(name, title, back string) http.HandlerFunc {
	return p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if _, ok := p.gate.instance.Components(); !ok {
			return errNoComponents
		}
		returnTo := p.gate.instance.ReturnPath(cmp.Or(r.URL.Query().Get(returnParam), back))
		r = p.gate.withComponents(r)
		return web.Render(w, r, http.StatusOK, title, web.ComponentPage(name, title, returnTo))
	})
}

// Tenant mounts the pages under the tenant's own path.
func (p *Pages) Tenant(r chi.Router) {
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		access := identity.AccessOf(r.Context())
		http.Redirect(w, r, homePath(r.Context(), access.Tenant), http.StatusSeeOther)
	})
	r.Get("/profile", p.errors.Handle(p.showProfile))
	r.Get("/onboarding", p.errors.Handle(p.showOnboarding))
	r.Post("/onboarding", p.errors.Handle(p.completeOnboarding))
	r.Get(organizationProfilePath, p.component("organization-profile", "Organization", "/"))
}

func (p *Pages) landing(w http.ResponseWriter, r *http.Request) error {
	session, ok := identity.SessionFromContext(r.Context())
	if !ok {
		return web.Render(w, r, http.StatusOK, "", web.Landing())
	}
	w.Header().Set("Cache-Control", "private, no-store")
	return p.lead(w, r, session, homePath)
}

// welcome is where somebody lands who just made or joined an organization.
func (p *Pages) welcome(w http.ResponseWriter, r *http.Request) error {
	session, _ := identity.SessionFromContext(r.Context())
	return p.lead(w, r, session, func(ctx context.Context, t tenancy.Tenant) string {
		return httpserver.TenantBase(ctx, t.Slug.String()) + "/onboarding"
	})
}

// lead leads to a page of the person's tenant. It does not wait for the
// provider's webhook: [identity.Service.Home] brings the organization in when it
// has to. Who has none is led to making one; who has just chosen one that even the
// provider does not show yet waits, and so does who was just removed from it, until
// their next token says so.
func (p *Pages) lead(w http.ResponseWriter, r *http.Request, session identity.Session, to func(context.Context, tenancy.Tenant) string) error {
	home, err := p.service.Home(r.Context(), session)
	switch {
	case errors.Is(err, identity.ErrLeft):
		return web.Render(w, p.gate.outsideTenants(r), http.StatusOK, "No organization", leftPage())
	case fault.Is(err, fault.NotFound) && session.ActiveOrganization.ID != "":
		w.Header().Set("Refresh", waitSeconds)
		return web.Render(w, p.gate.outsideTenants(r), http.StatusAccepted, "One moment", waitingPage())
	case fault.Is(err, fault.NotFound):
		http.Redirect(w, r, createOrganizationPath, http.StatusSeeOther)
		return nil
	case err != nil:
		return err
	}
	http.Redirect(w, r, to(r.Context(), home), http.StatusSeeOther)
	return nil
}

// waitSeconds is when a browser that waits looks again.
const waitSeconds = "2"

func (p *Pages) showProfile(w http.ResponseWriter, r *http.Request) error {
	access := identity.AccessOf(r.Context())
	return web.Render(w, r, http.StatusOK, "Your profile", profilePage(access))
}

func (p *Pages) showOnboarding(w http.ResponseWriter, r *http.Request) error {
	access := identity.AccessOf(r.Context())
	form := identity.Profile{FirstName: access.Member.FirstName, LastName: access.Member.LastName, Phone: access.Member.Phone}
	return web.Render(w, r, http.StatusOK, "Welcome", onboardingPage(access, form, nil))
}

func (p *Pages) completeOnboarding(w http.ResponseWriter, r *http.Request) error {
	access := identity.AccessOf(r.Context())
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	form := identity.Profile{
		FirstName: r.PostForm.Get("first_name"), LastName: r.PostForm.Get("last_name"), Phone: r.PostForm.Get("phone"),
	}
	_, err := p.service.CompleteOnboarding(r.Context(), access, form)
	switch {
	case fault.Is(err, fault.Invalid):
		return web.Render(w, r, http.StatusUnprocessableEntity, "Welcome", onboardingPage(access, form, fault.As(err)))
	case err != nil:
		return err
	}
	web.Redirect(w, r, homePath(r.Context(), access.Tenant), &web.Flash{Kind: ui.Success, Message: "You are all set."})
	return nil
}

// isRenamed reports whether the tenant did not get the slug its organization asked
// for, and the person is one who can do something about it.
func isRenamed(access identity.Access) bool {
	asked := access.Tenant.RequestedSlug
	return asked != "" && asked != access.Tenant.Slug.String() && access.Actor().Require(identity.OrganizationManage, identity.UsersManage) == nil
}

// article puts a role into a sentence.
func article(role identity.Role) string {
	switch role {
	case identity.RoleOwner:
		return "an owner"
	case identity.RoleAdmin:
		return "an admin"
	}
	return "a " + string(role)
}
