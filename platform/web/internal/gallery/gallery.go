// Package gallery serves every component, layout and error page with made-up
// content, for the browser tests of platform/web to look at. Nothing else
// imports it.
package gallery

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web"
)

// Statuses are those that have an error page.
var Statuses = map[int]fault.Kind{
	http.StatusBadRequest:            fault.Invalid,
	http.StatusUnauthorized:          fault.Unauthenticated,
	http.StatusForbidden:             fault.Forbidden,
	http.StatusNotFound:              fault.NotFound,
	http.StatusMethodNotAllowed:      fault.Invalid,
	http.StatusConflict:              fault.Conflict,
	http.StatusRequestEntityTooLarge: fault.TooLarge,
	http.StatusTooManyRequests:       fault.RateLimited,
	http.StatusInternalServerError:   fault.Internal,
	http.StatusServiceUnavailable:    fault.Unavailable,
}

// Paths are the pages to look at, by a name for their pictures.
func Paths() map[string]string {
	paths := map[string]string{
		"gallery": "/acme/gallery", "dashboard": "/acme/dashboard", "projects": "/acme/projects", "form": "/acme/form", "empty": "/acme/empty",
		"confirm": "/acme/confirm", "landing": "/", "landing-signed-in": "/?signed-in", "centered": "/onboarding",
		"public-error": "/error/404", "long-words": "/acme/long-words",
	}
	for status := range Statuses {
		paths["error-"+strconv.Itoa(status)] = "/acme/error/" + strconv.Itoa(status)
	}
	return paths
}

// Gallery is the handler, with what tests want to know of it and change.
type Gallery struct {
	http.Handler
	// SessionEnded makes the session refresh and every POST answer 401.
	SessionEnded atomic.Bool
	// Cut ends the connection of every POST without an answer.
	Cut atomic.Bool
	// Posts counts the forms that were accepted, once each.
	Posts atomic.Int64
	// Refreshes counts the times that the session was renewed.
	Refreshes atomic.Int64

	mu   sync.Mutex
	hold chan struct{}
}

// Hold keeps forms waiting for their answer until release is called.
func (g *Gallery) Hold() (release func()) {
	hold := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = hold
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.hold = nil
		close(hold)
	})
}

func (g *Gallery) wait(r *http.Request) {
	g.mu.Lock()
	hold := g.hold
	g.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
}

// New returns a gallery.
func New() *Gallery {
	g := new(Gallery)
	mux := http.NewServeMux()
	mux.Handle("/assets/", web.Assets())
	mux.Handle("POST /theme", web.ThemeHandler())
	mux.Handle("POST /sidebar", web.SidebarHandler())
	page := func(pattern, title string, shell func(*http.Request) *web.Shell, component templ.Component) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			render(w, r.WithContext(web.NewContext(r.Context(), shell(r))), http.StatusOK, title, component)
		})
	}
	page("GET /acme/gallery", "Gallery", tenantShell, components(time.Now()))
	page("GET /acme/dashboard", "Dashboard", tenantShell, dashboard(time.Now()))
	page("GET /acme/projects", "Projects", tenantShell, projects(time.Now()))
	page("GET /acme/empty", "Projects", tenantShell, empty())
	page("GET /acme/form", "New project", tenantShell, form(nil, "", ""))
	page("GET /acme/confirm", "Delete project", tenantShell, confirm())
	page("GET /{$}", "", publicShell, web.Landing())
	page("GET /onboarding", "Create your organization", publicShell, onboarding())
	page("GET /sign-in", "Sign in", publicShell, signIn())

	mux.HandleFunc("POST /acme/form", func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(web.NewContext(r.Context(), tenantShell(r)))
		g.wait(r)
		if g.Cut.Load() {
			panic(http.ErrAbortHandler)
		}
		if g.SessionEnded.Load() {
			web.ErrorPage(w, r, http.StatusUnauthorized, fault.New(fault.Unauthenticated, ""), "req_1")
			return
		}
		name, description := r.PostFormValue("name"), r.PostFormValue("description")
		if name == "" || name == "taken" {
			err := fault.InvalidFields(fault.Field{Name: "name", Message: "A project with this name exists. Choose another one."})
			render(w, r, http.StatusUnprocessableEntity, "New project", form(err, name, description))
			return
		}
		g.Posts.Add(1)
		web.Redirect(w, r, "/acme/dashboard", &web.Flash{Kind: "success", Message: "Project “" + name + "” was created."})
	})
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, _ *http.Request) {
		if g.SessionEnded.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		g.Refreshes.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	fail := func(shell func(*http.Request) *web.Shell) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.PathValue("status"))
			r = r.WithContext(web.NewContext(r.Context(), shell(r)))
			err := fault.New(Statuses[status], "")
			if status == http.StatusTooManyRequests {
				err = err.WithRetryAfter(30 * time.Second)
			}
			if status == http.StatusForbidden {
				err = fault.New(fault.Forbidden, "Viewers cannot create projects.")
			}
			web.ErrorPage(w, r, status, err, "req_01hzx3v9k2")
		}
	}
	mux.HandleFunc("/acme/error/{status}", fail(tenantShell))
	mux.HandleFunc("/error/{status}", fail(publicShell))
	mux.HandleFunc("/proxy-error", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>502 from a proxy</h1>", http.StatusBadGateway)
	})
	mux.HandleFunc("GET /cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	page("GET /acme/long-words", "Long words", tenantShell, longWords())
	page("GET /acme/poll", "Poll", tenantShell, poll())
	mux.HandleFunc("GET /acme/rows", func(w http.ResponseWriter, r *http.Request) {
		shell := tenantShell(r)
		shell.Flash = &web.Flash{Kind: "success", Message: "A row was added."}
		r = r.WithContext(web.NewContext(r.Context(), shell))
		render(w, r, http.StatusOK, "Rows", rows())
	})
	mux.HandleFunc("GET /acme/search", func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(web.NewContext(r.Context(), tenantShell(r)))
		render(w, r, http.StatusOK, "", found(r.URL.Query().Get("q")))
	})
	g.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", web.ContentSecurityPolicy())
		mux.ServeHTTP(w, r)
	})
	return g
}

func render(w http.ResponseWriter, r *http.Request, status int, title string, component templ.Component) {
	if err := web.Render(w, r, status, title, component); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func publicShell(r *http.Request) *web.Shell {
	shell := &web.Shell{SignInHref: "/sign-in", SignUpHref: "/sign-up", RequestID: "req_01hzx3v9k2"}
	if r.URL.Query().Has("signed-in") || r.URL.Path == "/onboarding" {
		shell.Person = person()
		shell.Organizations = []web.Organization{{Name: "Acme Corporation", Href: "/acme/dashboard", Current: true}}
		shell.SwitchHref, shell.CreateOrganizationHref = "/organizations", "/create-organization"
		shell.SignOutHref, shell.ProfileHref = "/sign-out", "/profile"
	}
	return shell
}

func person() *web.Person {
	return &web.Person{Name: "Ada Lovelace", Email: "ada@acme.example", Role: "Owner"}
}

func tenantShell(r *http.Request) *web.Shell {
	shell := &web.Shell{
		Tenant: &web.Tenant{Name: "Acme Corporation", Slug: "acme", Base: "/acme"},
		Person: person(),
		Navigation: []web.NavigationItem{
			{Label: "Dashboard", Icon: "layout-dashboard", Path: "/dashboard", Keys: "g d"},
			{Label: "Projects", Icon: "folder", Path: "/projects", Keys: "g p"},
			{Label: "Members", Icon: "users", Path: "/members"},
			{Label: "Audit log", Icon: "scroll-text", Path: "/audit"},
			{Label: "Settings", Icon: "settings", Path: "/settings"},
			{Kind: web.SearchItem, Label: "Search", Icon: "search", Path: "/search"},
			{Kind: web.ActionItem, Label: "New project", Icon: "plus", Path: "/form", Keys: "n"},
		},
		Organizations: []web.Organization{
			{Name: "Acme Corporation", Href: "/acme/dashboard", Current: true},
			{Name: "Testcorp", Href: "/testcorp/dashboard"},
			{Name: "Société générale des très longues dénominations", Href: "/sg/dashboard"},
		},
		SwitchHref: "/organizations", CreateOrganizationHref: "/create-organization",
		SignInHref: "/sign-in", SignOutHref: "/sign-out", ProfileHref: "/profile",
		SessionRefresh: "/session",
	}
	for i := range shell.Navigation {
		shell.Navigation[i].Current = "/acme"+shell.Navigation[i].Path == r.URL.Path
	}
	return shell
}
