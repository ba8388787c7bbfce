package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
)

// Gate decides who a request comes from and whether it gets into a tenant. Its
// middlewares stand in front of everything that reads a body, so that the order
// of answers is always the same: 401 without a session, 404 for a tenant that
// is not there or not theirs, 403 without the permission, and only then what
// is wrong with the input.
type Gate struct {
	authenticate func(*http.Request) clerk.Decision
	ended        *identity.EndedSessions
	instance     *clerk.Instance
	service      *identity.Service
	errors       *httpserver.ErrorWriter
}

// NewGate returns a gate. Refusals are written by errors.
func NewGate(auth *clerk.BrowserAuth, ended *identity.EndedSessions, instance *clerk.Instance, service *identity.Service, errors *httpserver.ErrorWriter) *Gate {
	return &Gate{authenticate: auth.Authenticate, ended: ended, instance: instance, service: service, errors: errors}
}

var (
	errSignedOut = fault.New(fault.Unauthenticated, "Sign in to go on.")
	errPending   = fault.New(fault.Unauthenticated, "You are signed in, but something is left to do first, such as choosing a new password. Open the application in a browser.")
)

// pendingKey is that of the context of a request whose session does not count
// yet: somebody who has a task left.
type pendingKey struct{}

func isPending(r *http.Request) bool { return r.Context().Value(pendingKey{}) != nil }

// Authenticate puts the session of a request that is signed in into the
// context, and lets one that is signed out pass, also by the end of its session
// while the token in hand is still good. A browser whose session has to
// be renewed is sent through the provider's handshake and comes back.
func (g *Gate) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What a page shows depends on who asks, so no cache may share it.
		w.Header().Add("Vary", "Cookie, Authorization")
		if _, ok := identity.SessionFromContext(r.Context()); ok { // by an API key
			next.ServeHTTP(w, r)
			return
		}
		decision := g.authenticate(r)
		for _, cookie := range decision.Cookies {
			w.Header().Add("Set-Cookie", cookie)
		}
		switch {
		case decision.Err != nil:
			g.refuse(w, r, decision.Err)
			return
		case decision.Redirect != "":
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, decision.Redirect, http.StatusTemporaryRedirect)
			return
		case decision.State == clerk.SignedIn && g.ended.Has(decision.Session.ID):
			httpserver.Annotate(r.Context(), slog.String("signed_out", "session-ended"))
		case decision.State == clerk.SignedIn:
			ctx := identity.NewSessionContext(r.Context(), decision.Session)
			httpserver.Annotate(ctx, slog.String("account", decision.Session.AccountID))
			r = r.WithContext(ctx)
		default:
			httpserver.Annotate(r.Context(), slog.String("signed_out", string(decision.Reason)))
			if decision.Reason == clerk.SessionPending {
				r = r.WithContext(context.WithValue(r.Context(), pendingKey{}, true))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// RequireSession refuses a request that is signed out: a person who opens a
// page is led to the sign-in page, or to what is left to do after it, and back;
// everybody else gets a 401.
func (g *Gate) RequireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := identity.SessionFromContext(r.Context()); ok {
			w.Header().Set("Cache-Control", "private, no-store")
			next.ServeHTTP(w, r)
			return
		}
		way, refusal := signInPath, errSignedOut
		if isPending(r) {
			way, refusal = clerk.SessionTaskPath, errPending
		}
		if isNavigation(r) {
			http.Redirect(w, r, way+"?"+url.Values{returnParam: {returnTo(r)}}.Encode(), http.StatusSeeOther)
			return
		}
		g.refuse(w, r, refusal)
	})
}

// refuse answers a request that got no further than the gate, on a page that
// offers to sign in or to go to another organization.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.errors.Write(w, g.outsideTenants(r), err)
}

// outsideTenants returns r with a shell that names who is signed in. That takes a
// question to the directory, so it is for pages that nobody waits for.
func (g *Gate) outsideTenants(r *http.Request) *http.Request {
	shell := g.publicShell(r)
	g.introduce(r, shell)
	return r.WithContext(web.NewContext(r.Context(), shell))
}

// introduce names who is signed in, where the directory knows: who signed up a moment
// ago may have no name yet, and a page still says what it has to say.
func (g *Gate) introduce(r *http.Request, shell *web.Shell) {
	session, ok := identity.SessionFromContext(r.Context())
	if !ok || isAPI(r) {
		return
	}
	if account, err := g.service.Account(r.Context(), session.AccountID); err == nil {
		shell.Person = &web.Person{
			Name:  cmp.Or(strings.TrimSpace(account.FirstName+" "+account.LastName), account.Email, shell.Person.Name),
			Email: account.Email, AvatarURL: account.AvatarURL,
		}
	}
}

// Enter lets a request into the tenant that its path names, or refuses it.
func (g *Gate) Enter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, ok := identity.SessionFromContext(r.Context())
		if !ok {
			g.refuse(w, r, errSignedOut)
			return
		}
		ctx, access, err := g.service.Enter(r.Context(), session, httpserver.PathParam(r, httpserver.TenantParam))
		if moved, ok := errors.AsType[*identity.MovedError](err); ok {
			// The method and the body are kept, so that a form that was open while
			// the tenant moved loses nothing. Nobody may remember it: tomorrow the
			// address can be another tenant's.
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, movedTo(r, moved.Slug), http.StatusPermanentRedirect)
			return
		}
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		httpserver.Annotate(ctx, slog.String(httpserver.TenantAttr, access.Tenant.ID), slog.String("role", string(access.Member.Role)))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// movedTo returns the request's address at the tenant with slug, at its own host if
// the request named the former one by its host.
func movedTo(r *http.Request, slug tenancy.Slug) string {
	base, below := httpserver.TenantBase(r.Context(), slug.String()), r.URL.EscapedPath()
	isPath := httpserver.HostOrigin(r.Context()) == ""
	if isAPI(r) {
		if isPath {
			base = ""
		}
		base, below = base+"/api/tenants/"+slug.String(), strings.TrimPrefix(below, "/api/tenants")
	}
	if isPath || isAPI(r) { // the path names the former tenant
		_, after, _ := strings.Cut(strings.TrimPrefix(below, "/"), "/")
		below = "/" + after
	}
	target := strings.TrimSuffix(base+below, "/")
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	return target
}

// Shell puts what the layout shows into the context of a page's request. The
// navigation is that of a tenant's pages.
func (g *Gate) Shell(navigation []web.NavigationItem) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isAPI(r) {
				next.ServeHTTP(w, r) // programs see no layout
				return
			}
			shell := g.publicShell(r)
			if access, ok := identity.AccessFromContext(r.Context()); ok {
				if err := g.fill(r, shell, access, navigation); err != nil {
					g.refuse(w, r, err)
					return
				}
			} else if httpserver.PathParam(r, httpserver.TenantParam) == "" && r.Method == http.MethodGet && !web.IsFragmentRequest(r) {
				g.introduce(r, shell) // members have names of their own
			}
			next.ServeHTTP(w, r.WithContext(web.NewContext(r.Context(), shell)))
		})
	}
}

// PublicShell is [Gate.Shell] for pages that anybody sees, who is signed in for a
// moment at most: it asks nobody for a name.
func (g *Gate) PublicShell(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(web.NewContext(r.Context(), g.publicShell(r))))
	})
}

// publicShell is what a page outside of every tenant shows.
func (g *Gate) publicShell(r *http.Request) *web.Shell {
	shell := &web.Shell{
		HomeHref:               httpserver.PublicAddress(r.Context(), "/"),
		CreateOrganizationHref: httpserver.PublicAddress(r.Context(), createOrganizationPath),
		SignInHref:             signInPath, // also where the script leads when the session has ended
		Secure:                 g.instance.IsSecure(),
		Domain:                 httpserver.HostsOf(r.Context()).Domain(),
		RequestID:              httpserver.RequestID(r.Context()),
	}
	session, ok := identity.SessionFromContext(r.Context())
	if !ok {
		shell.SignUpHref = signUpPath
		return shell
	}
	shell.SwitchHref = g.instance.SelectOrganizationURL("/")
	shell.SignOutHref = here(r, g.instance.SignOutURL("/"))
	shell.SessionRefresh = here(r, g.instance.SessionRefreshURL(session.ID))
	shell.Person = &web.Person{Name: "Signed in"}
	g.addComponents(r, shell)
	return shell
}

// here returns address at the tenant's host that r came to, so that the page may
// post there: the emulator, whose addresses these are, answers at every host.
func here(r *http.Request, address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" || httpserver.HostOrigin(r.Context()) == "" {
		return address
	}
	u.Scheme, u.Host = "", ""
	return u.String()
}

// addComponents makes the page one that carries the identity provider's
// components, where there are some: on every page of who is signed in they keep
// the session alive.
func (g *Gate) addComponents(r *http.Request, shell *web.Shell) {
	components, ok := g.instance.Components()
	if !ok {
		return
	}
	shell.ProfileHref = clerk.ProfilePath
	shell.Components = &web.Components{
		PublishableKey: components.PublishableKey, ProxyURL: components.ProxyURL,
		Script: components.Script, UIScript: components.UIScript,
		Policy:     web.ComponentsPolicy(httpserver.HostsOf(r.Context()).Origins(), components.FrontendAPIOrigin, components.ScriptOrigin),
		SignInPath: signInPath, SessionTaskPath: clerk.SessionTaskPath, SignUpPath: signUpPath, ProfilePath: clerk.ProfilePath,
		OrganizationsPath: clerk.OrganizationsPath, CreateOrganizationPath: createOrganizationPath,
		OrganizationProfilePath: organizationProfilePath,
	}
}

// withComponents returns r with a shell that has them although nobody is signed in.
func (g *Gate) withComponents(r *http.Request) *http.Request {
	shell := *web.FromContext(r.Context())
	g.addComponents(r, &shell)
	return r.WithContext(web.NewContext(r.Context(), &shell))
}

// fill adds what only a tenant's pages show.
func (g *Gate) fill(r *http.Request, shell *web.Shell, access identity.Access, navigation []web.NavigationItem) error {
	base := httpserver.TenantBase(r.Context(), access.Tenant.Slug.String())
	shell.Tenant = &web.Tenant{OrganizationID: access.Tenant.ID, Name: access.Tenant.Name, Slug: access.Tenant.Slug.String(), ImageURL: access.Tenant.ImageURL, Base: base}
	shell.Person = &web.Person{
		Name: access.Member.Name(), Email: access.Member.Email, AvatarURL: access.Member.AvatarURL, Role: roleLabel(access.Member.Role),
	}
	below := strings.TrimPrefix(r.URL.Path, base)
	for _, item := range navigation {
		if item.Permission != "" && !access.Actor().Allows(identity.Permission(item.Permission)) {
			continue
		}
		item.Current = below == item.Path || strings.HasPrefix(below, item.Path+"/")
		shell.Navigation = append(shell.Navigation, item)
	}
	if web.IsFragmentRequest(r) {
		return nil // a fragment shows no switcher
	}
	tenants, err := g.service.Tenants(r.Context(), access.Member.ID)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		shell.Organizations = append(shell.Organizations, web.Organization{
			Name: t.Name, Href: homePath(r.Context(), t), ImageURL: t.ImageURL, Current: t.ID == access.Tenant.ID,
		})
	}
	return nil
}

// homePath is the address of a tenant's first page, in the form that ctx's request
// uses.
func homePath(ctx context.Context, t tenancy.Tenant) string {
	return httpserver.TenantBase(ctx, t.Slug.String()) + "/dashboard"
}

func roleLabel(role identity.Role) string {
	if role == "" {
		return ""
	}
	return strings.ToUpper(string(role[:1])) + string(role[1:])
}

// isNavigation reports whether a person opens a page, so that leading them
// somewhere else is an answer. A call by script, and everything under /api,
// needs a status instead.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || isAPI(r) {
		return false
	}
	if r.Header.Get("HX-Request") == "true" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// returnTo is the path that a person who signs in comes back to.
func returnTo(r *http.Request) string {
	return (&url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}).String()
}
