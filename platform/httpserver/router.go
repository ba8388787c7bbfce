package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/ratelimit"
	"go.opentelemetry.io/otel/trace"
)

// Config is what the edge needs to know.
type Config struct {
	// PublicURL is where people and programs reach the application. Its origin
	// is trusted by the CSRF check; with https, HSTS is on.
	PublicURL *url.URL
	// TenantHosts are the hosts that name a tenant; nil for paths alone. Which tenant
	// a request is for is told by the Host header, which a proxy has to pass on, and by
	// no other.
	TenantHosts *TenantHosts
	// TrustedProxies are the addresses whose X-Forwarded-For and X-Request-Id
	// are believed; without any, neither header is.
	TrustedProxies []netip.Prefix
	// BodyLimit bounds request bodies in bytes; 0 is 1 MiB.
	BodyLimit int64
	// RequestTimeout is the deadline of a request's work; 0 is 30 seconds.
	RequestTimeout time.Duration
	// Errors answers what fails before or outside of a handler, and its logger
	// takes the access log. nil answers problem documents everywhere.
	Errors *ErrorWriter
	// ContentSecurityPolicy is the header's value for every answer; "" is
	// "default-src 'none'; frame-ancestors 'none'".
	ContentSecurityPolicy string
	// CSRFBypass lists patterns, in http.ServeMux's syntax, of requests that
	// prove their origin otherwise, such as signed webhooks.
	CSRFBypass []string
	// Readiness is asked by /readyz; nil is always ready.
	Readiness *Readiness
	// API is the title, version and description of the OpenAPI document.
	API huma.Info

	// SignedIn lets requests with a valid session pass and answers all others.
	SignedIn func(http.Handler) http.Handler
	// Tenant runs after SignedIn and lets requests of members of the tenant in
	// the path parameter [TenantParam] pass. It puts the tenant into the
	// context.
	Tenant func(http.Handler) http.Handler
	// Caller tells, after SignedIn and Tenant, who sends the request. Without
	// it nobody is known.
	Caller func(context.Context) Caller
	// Limits bound how often somebody may ask. Those of persons and tenants need
	// Caller.
	Limits Limits
	// Observe is told of every request once it was answered; may be nil.
	Observe func(context.Context, Answered)
	// ServerTiming says in every answer what it took, for whoever develops.
	ServerTiming bool
	// Tracing makes every request a span; nil makes none.
	Tracing trace.TracerProvider
	// SharedLimits is where several processes count for Limits together; nil is
	// for one that counts by itself.
	SharedLimits *ratelimit.Redis
	// Idempotency remembers what POSTs with an Idempotency-Key were answered;
	// without it the header does nothing. It needs Caller.
	Idempotency IdempotencyStore
}

// Answered is a request that is over.
type Answered struct {
	Method string
	// Route is the pattern that matched, such as "/api/tenants/{tenant}/projects";
	// "" when none did.
	Route string
	// Status is what the client got, or would have got.
	Status   int
	Duration time.Duration
	// Tenant is the id that [TenantAttr] had, "" without.
	Tenant string
}

// TenantAttr is the attribute of [Annotate] that names the tenant.
const TenantAttr = "tenant"

// TenantParam is the path parameter that names the tenant; read it with
// [PathParam].
const TenantParam = "tenant"

// Surface is the part of the application that a route belongs to. It decides
// where the route's path starts and what was checked before it runs.
type Surface uint8

const (
	// Public routes are for anybody. Pages at "/", operations at "/api".
	Public Surface = iota
	// SignedIn routes need a session but no tenant. Pages at "/", operations
	// at "/api".
	SignedIn
	// TenantPages are pages of one tenant, at "/{tenant}".
	TenantPages
	// TenantAPI are operations on one tenant, at "/api/tenants/{tenant}".
	TenantAPI
)

const (
	apiPrefix       = "/api"
	tenantPrefix    = "/{" + TenantParam + "}"
	tenantsAPI      = apiPrefix + "/tenants/"
	tenantAPIPrefix = tenantsAPI + "{" + TenantParam + "}"
	openAPIPath     = apiPrefix + "/openapi.json"
)

// Mount is what a module hands to the router.
type Mount struct {
	Surface Surface
	// Everywhere are the first path segments of Routes that tenants' hosts serve
	// themselves; from the other public pages they lead to the public origin.
	Everywhere []string
	// Routes registers pages and plain handlers. Paths are relative to the
	// surface for TenantPages and absolute otherwise.
	Routes func(chi.Router)
	// Operations registers REST operations with [Register], with paths
	// relative to the surface's API prefix.
	Operations func(huma.API)
}

// Router serves the whole application.
type Router struct {
	config   Config
	errors   *ErrorWriter
	mux      *chi.Mux
	origins  *http.CrossOriginProtection
	limiters limiters
	openAPI  *huma.OpenAPI
	// tenants has the pages of tenants and is asked for addresses that mux
	// does not have. Mounted on mux, "/{tenant}" would take every address that
	// begins like one of mux's own but is none, and every method that a route
	// of mux does not take. It is nil without such pages.
	tenants *chi.Mux
	// reserved are the first path segments of mux's routes.
	reserved map[string]bool
	// everywhere are those that tenants' hosts serve, too.
	everywhere map[string]bool
}

// New builds the router. It fails for a configuration that would leave a
// surface unprotected.
func New(config Config, mounts ...Mount) (*Router, error) {
	rt := &Router{
		config:  config,
		mux:     chi.NewMux(),
		origins: http.NewCrossOriginProtection(),
		errors:  config.Errors,
	}
	if rt.errors == nil {
		rt.errors = new(ErrorWriter)
	}
	if err := rt.complete(mounts); err != nil {
		return nil, fmt.Errorf("httpserver: %w", err)
	}
	rt.openAPI = newDocument(rt.config)
	rt.limiters = newLimiters(rt.config.Limits, rt.config.SharedLimits)
	rt.mux.Use(rt.chain()...)
	rt.mux.NotFound(rt.errors.Handle(rt.serveTenant))
	rt.mux.MethodNotAllowed(rt.errors.Handle(rt.methodNotAllowed))
	rt.mux.Get(healthPath, rt.serveHealth)
	rt.mux.Get(readyPath, rt.serveReady)
	rt.mux.Get(openAPIPath, serveDocument(rt.openAPI))
	mountReference(rt.mux, rt.openAPI.Info.Title)

	pages := chi.NewRouter()
	pages.NotFound(rt.errors.Handle(rt.notFound))
	pages.MethodNotAllowed(rt.errors.Handle(rt.methodNotAllowed))
	if config.SignedIn != nil && config.Tenant != nil {
		pages.Use(config.SignedIn, rt.limitPerson, rt.ownTenant, config.Tenant, rt.limitTenant, rt.submitOnce)
	}
	hasPages := false
	rt.everywhere = map[string]bool{}
	for _, mount := range mounts {
		for _, segment := range mount.Everywhere {
			rt.everywhere[segment] = true
		}
		router, prefix := chi.Router(rt.mux), apiPrefix
		switch mount.Surface {
		case SignedIn:
			router = rt.mux.With(config.SignedIn, rt.limitPerson)
		case TenantPages:
			router, hasPages = pages, true
		case TenantAPI:
			router, prefix = rt.mux.With(config.SignedIn, rt.limitPerson, rt.ownTenant, config.Tenant, rt.limitTenant), tenantAPIPrefix
		}
		if mount.Routes != nil {
			mount.Routes(router)
		}
		if mount.Operations != nil {
			mount.Operations(newAPI(router, rt.openAPI, prefix, mount.Surface))
		}
	}
	if hasPages {
		rt.tenants = chi.NewRouter()
		rt.tenants.Mount(tenantPrefix, pages)
	}
	rt.reserved = map[string]bool{}
	for _, segment := range rt.ReservedSegments() {
		rt.reserved[segment] = true
	}
	return rt, nil
}

// complete fills in defaults and checks that no surface lacks its checks.
func (rt *Router) complete(mounts []Mount) error {
	config := &rt.config
	if config.PublicURL == nil || config.PublicURL.Host == "" {
		return errors.New("the public URL is missing")
	}
	if config.BodyLimit == 0 {
		config.BodyLimit = 1 << 20
	}
	if config.RequestTimeout == 0 {
		config.RequestTimeout = 30 * time.Second
	}
	if config.ContentSecurityPolicy == "" {
		config.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'"
	}
	if config.Readiness == nil {
		config.Readiness = new(Readiness)
	}
	switch {
	case config.Caller == nil && config.Idempotency != nil:
		return errors.New("idempotency keys belong to callers, and there is no Caller")
	case config.Caller == nil && (config.Limits.Person != 0 || config.Limits.Key != 0 || config.Limits.Tenant != 0):
		return errors.New("persons and tenants have limits, and there is no Caller")
	case config.Caller == nil:
		config.Caller = func(context.Context) Caller { return Caller{} }
	}
	if err := rt.origins.AddTrustedOrigin(config.PublicURL.Scheme + "://" + config.PublicURL.Host); err != nil {
		return err
	}
	for _, pattern := range config.CSRFBypass {
		rt.origins.AddInsecureBypassPattern(pattern)
	}
	for _, mount := range mounts {
		switch {
		case mount.Surface > TenantAPI:
			return fmt.Errorf("unknown surface %d", mount.Surface)
		case mount.Surface != Public && config.SignedIn == nil:
			return errors.New("a mount needs sessions, and there is no SignedIn middleware")
		case (mount.Surface == TenantPages || mount.Surface == TenantAPI) && config.Tenant == nil:
			return errors.New("a mount needs a tenant, and there is no Tenant middleware")
		case mount.Surface == TenantPages && mount.Operations != nil:
			return errors.New("operations of a tenant belong on the TenantAPI surface")
		case mount.Surface == TenantAPI && mount.Routes != nil:
			return errors.New("the TenantAPI surface takes operations only")
		}
	}
	return nil
}

// ServeHTTP makes the router a handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.mux.ServeHTTP(w, r) }

// OpenAPI is the document of every registered operation.
func (rt *Router) OpenAPI() *huma.OpenAPI { return rt.openAPI }

// ReservedSegments returns the first path segments that routes use as they
// are, sorted: no tenant may have one of them as its slug.
func (rt *Router) ReservedSegments() []string {
	var segments []string
	for _, route := range rt.Routes() {
		first, _, _ := strings.Cut(strings.TrimPrefix(route.Pattern, "/"), "/")
		if first != "" && !strings.ContainsAny(first, "{*") {
			segments = append(segments, first)
		}
	}
	slices.Sort(segments)
	return slices.Compact(segments)
}

// Route is an address that the router takes a method at.
type Route struct{ Method, Pattern string }

// Routes returns every route, for tests that hold each of them against
// something: those of pages of tenants begin with "/{tenant}". A GET is taken as
// a HEAD, too.
func (rt *Router) Routes() []Route {
	var routes []Route
	add := func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, Route{method, pattern})
		return nil
	}
	// A walk only fails when its function does.
	_ = chi.Walk(rt.mux, add)
	if rt.tenants != nil {
		_ = chi.Walk(rt.tenants, add)
	}
	return routes
}

func (rt *Router) notFound(http.ResponseWriter, *http.Request) error { return errNoSuchAddress }

// serveTenant answers what mux has no route for.
func (rt *Router) serveTenant(w http.ResponseWriter, r *http.Request) error {
	if !rt.mayBeTenant(r) {
		return errNoSuchAddress
	}
	rt.tenants.ServeHTTP(w, r)
	return nil
}

func (rt *Router) mayBeTenant(r *http.Request) bool {
	if slug, _ := siteOf(r.Context()); slug != "" {
		return rt.tenants != nil && !rt.isEverywhere(r.URL.Path)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return rt.tenants != nil && first != "" && !rt.reserved[first]
}

// methodNotAllowed finds out by itself what is allowed: chi tells only its own
// handler.
func (rt *Router) methodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
	routes, path := rt.mux, escapedPath(r)
	if rt.mayBeTenant(r) {
		routes, path = rt.tenants, rt.tenantRoutePath(r)
	}
	var allowed []string
	for _, method := range []string{
		http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut,
	} {
		lookup := method
		if method == http.MethodHead {
			lookup = http.MethodGet // served by GetHead
		}
		if routes.Match(chi.NewRouteContext(), lookup, path) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 { // a method that nothing takes, at an address that is none
		return errNoSuchAddress
	}
	return errMethodNotAllowed(allowed)
}
