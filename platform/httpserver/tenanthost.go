package httpserver

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
)

// ReturnParam is the query parameter that tells pages outside of tenants where to
// lead back: a path of the host they are asked at, or an address of the application.
const ReturnParam = "redirect_url"

// TenantHosts are the hosts that name a tenant: its slug below a domain, such as
// acme.example.com. nil has none, so that tenants are named by paths alone.
type TenantHosts struct {
	public *url.URL
	suffix string // ".example.com"
	isSlug func(string) bool
}

// NewTenantHosts returns the hosts below domain, nil when domain is "". They are
// reached with the scheme and the port of public, whose own host is never a tenant's.
// isSlug tells which labels may be a tenant's.
func NewTenantHosts(public *url.URL, domain string, isSlug func(string) bool) *TenantHosts {
	if domain == "" {
		return nil
	}
	return &TenantHosts{public: public, suffix: "." + domain, isSlug: isSlug}
}

// SlugOf returns the slug that a Host header names. Letters may be of either case and
// the port may be any, since neither makes another host; everything else is to the
// letter, and all other hosts are no tenant's.
func (h *TenantHosts) SlugOf(host string) (slug string, ok bool) {
	if h == nil {
		return "", false
	}
	name, port, hasPort := strings.Cut(host, ":")
	if hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
		return "", false
	}
	// strings.ToLower knows letters beyond ASCII that become ASCII's.
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		return "", false
	}
	name = strings.ToLower(name)
	label, below := strings.CutSuffix(name, h.suffix)
	if !below || name == h.public.Hostname() || !h.isSlug(label) {
		return "", false
	}
	return label, true
}

// Has reports whether address has the origin of a tenant's host, spelled as
// [TenantHosts.Origin] spells it.
func (h *TenantHosts) Has(address *url.URL) bool {
	slug, ok := h.SlugOf(address.Host)
	return ok && address.User == nil && address.Scheme+"://"+address.Host == h.Origin(slug)
}

// Domain returns what the hosts are below of, "" without such hosts.
func (h *TenantHosts) Domain() string {
	if h == nil {
		return ""
	}
	return h.suffix[1:]
}

// Origin returns the origin of a tenant's host.
func (h *TenantHosts) Origin(slug string) string {
	origin := h.public.Scheme + "://" + slug + h.suffix
	if port := h.public.Port(); port != "" {
		origin += ":" + port
	}
	return origin
}

// Origins returns the origins of the application as sources of a page's policy: the
// public one and those of tenants' hosts, to which forms redirect; nil without such
// hosts.
func (h *TenantHosts) Origins() []string {
	if h == nil {
		return nil
	}
	return []string{h.public.Scheme + "://" + h.public.Host, h.Origin("*")}
}

// HostsOf returns the hosts of tenants that ctx's request's router knows, which may
// be nil.
func HostsOf(ctx context.Context) *TenantHosts {
	_, hosts := siteOf(ctx)
	return hosts
}

// siteOf returns what ctx's request was asked at: the slug that its host names, ""
// for none.
func siteOf(ctx context.Context) (slug string, hosts *TenantHosts) {
	if state := stateFrom(ctx); state != nil {
		return state.hostSlug, state.hosts
	}
	return "", nil
}

// HostOrigin returns the origin of the tenant's host that ctx's request came to, ""
// when it came to another host.
func HostOrigin(ctx context.Context) string {
	slug, hosts := siteOf(ctx)
	if slug == "" {
		return ""
	}
	return hosts.Origin(slug)
}

// TenantBase returns what precedes the paths of a tenant's pages in the form that
// ctx's request uses: "/acme" when paths name the tenant; at a tenant's own host "",
// and the other host's origin at another one's.
func TenantBase(ctx context.Context, slug string) string {
	switch at, hosts := siteOf(ctx); at {
	case "":
		return "/" + slug
	case slug:
		return ""
	default:
		return hosts.Origin(slug)
	}
}

// PublicAddress returns the address of a page outside of every tenant: path itself,
// and with the public origin in front at the host of a tenant.
func PublicAddress(ctx context.Context, path string) string {
	slug, hosts := siteOf(ctx)
	if slug == "" {
		return path
	}
	return hosts.public.Scheme + "://" + hosts.public.Host + path
}

// serveTenantHost answers requests at the host of a tenant by the same routes as
// everywhere. What is not about the tenant is on the application's own host, where
// people are led to; programs, and what pages load, are answered where they ask.
func (rt *Router) serveTenantHost(next http.Handler) http.Handler {
	if rt.config.TenantHosts == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slug, _ := siteOf(r.Context())
		if slug == "" || rt.tenants == nil || rt.isEverywhere(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		method, path := r.Method, rt.tenantRoutePath(r)
		if method == http.MethodHead {
			method = http.MethodGet
		}
		reads := method == http.MethodGet
		if reads && !rt.tenants.Match(chi.NewRouteContext(), method, path) && rt.mux.Match(chi.NewRouteContext(), method, escapedPath(r)) {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, PublicAddress(r.Context(), rt.fromTenantHost(r)), http.StatusTemporaryRedirect)
			return
		}
		chi.RouteContext(r.Context()).RoutePath = path
		rt.tenants.ServeHTTP(w, r)
	})
}

// isEverywhere reports whether every host serves a path itself.
func (rt *Router) isEverywhere(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return isAPI(path) || path == healthPath || path == readyPath || rt.everywhere[first]
}

// tenantRoutePath is the path by which the routes of tenants know r's address.
func (rt *Router) tenantRoutePath(r *http.Request) string {
	slug, _ := siteOf(r.Context())
	if slug == "" {
		return escapedPath(r)
	}
	return strings.TrimSuffix("/"+slug+escapedPath(r), "/")
}

// escapedPath is the path that chi goes by.
func escapedPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

// pathWithoutSlug is r's path with the tenant's slug left open: it is one and the same
// address of a tenant that is known otherwise, whatever it is called at the moment.
func pathWithoutSlug(r *http.Request) string {
	path, slug := r.URL.EscapedPath(), chi.URLParam(r, TenantParam)
	before := "/"
	switch at, _ := siteOf(r.Context()); {
	case isAPI(path):
		before = tenantsAPI
	case at != "": // the host has it
		return path
	}
	if after, ok := strings.CutPrefix(path, before+slug); ok && slug != "" {
		return before + "{" + TenantParam + "}" + after
	}
	return path
}

// fromTenantHost is r's address with the way back to this host in it.
func (rt *Router) fromTenantHost(r *http.Request) string {
	address := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	query := r.URL.Query()
	if back := query.Get(ReturnParam); strings.HasPrefix(back, "/") {
		query.Set(ReturnParam, HostOrigin(r.Context())+back)
		address.RawQuery = query.Encode()
	}
	return address.String()
}

// ownTenant keeps the host of a tenant to that tenant, whatever a path names.
func (rt *Router) ownTenant(next http.Handler) http.Handler {
	return rt.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if slug, _ := siteOf(r.Context()); slug != "" && PathParam(r, TenantParam) != slug {
			return errNoSuchAddress
		}
		next.ServeHTTP(w, r)
		return nil
	})
}
