package projectstest

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/idempotency"
	"github.com/tenonhq/tenon/platform/tenant"
	"github.com/tenonhq/tenon/platform/web"
)

// The two tenants of [NewRouter].
var (
	Acme     = newTenant("acme")
	Testcorp = newTenant("testcorp")
)

func newTenant(slug string) tenancy.Tenant {
	return tenancy.Tenant{
		ID: "org_" + slug, Name: strings.ToUpper(slug[:1]) + slug[1:], Slug: tenancy.MustParseSlug(slug), RequestedSlug: slug,
		Schema: tenant.MustParse("tenant_" + slug), Active: true,
	}
}

// The people of [NewRouter], by the token that signs them in. All but the
// stranger belong to [Acme], the stranger and the owner to [Testcorp].
const (
	Owner    = "owner"
	Admin    = "admin"
	AdaToken = "ada"
	BobToken = "bob"
	Viewer   = "viewer"
	Stranger = "stranger"
)

// MemberOf returns the person of a token as a member of acme.
func MemberOf(token string) identity.Member {
	member := identity.Member{
		ID: "user_" + token, FirstName: strings.ToUpper(token[:1]) + token[1:], LastName: "Example", Email: token + "@acme.example",
		Role: identity.RoleMember, IsActive: true, Metadata: identity.Metadata{OnboardingComplete: true},
	}
	switch token {
	case Owner:
		member.Role = identity.RoleOwner
	case Admin:
		member.Role = identity.RoleAdmin
	case Viewer:
		member.Role = identity.RoleViewer
	case AdaToken:
		member.ID = Ada
	case BobToken:
		member.ID = Bob
	}
	return member
}

// Errors answers with pages and keeps no log.
var Errors = &httpserver.ErrorWriter{Logger: slog.New(slog.DiscardHandler), Page: web.ErrorPage}

// RouterOption changes what the routes of [NewRouter] are told about a request.
type RouterOption func(*identity.Access)

// NewRouter returns the application's edge over mounts, with people who sign in
// by a bearer token or a __session cookie.
func NewRouter(t testing.TB, mounts []httpserver.Mount, options ...RouterOption) *httpserver.Router {
	t.Helper()
	router, err := httpserver.New(httpserver.Config{
		PublicURL:             &url.URL{Scheme: "http", Host: "example.com"},
		Errors:                Errors,
		ContentSecurityPolicy: web.ContentSecurityPolicy(),
		SignedIn:              signIn,
		Tenant:                func(next http.Handler) http.Handler { return enter(next, options) },
		Caller: func(ctx context.Context) httpserver.Caller {
			access := identity.AccessOf(ctx)
			return httpserver.Caller{Account: access.Session.AccountID, Tenant: access.Tenant.ID}
		},
		Idempotency: idempotency.NewMemory(),
	}, mounts...)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func signIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if cookie, err := r.Cookie("__session"); err == nil {
			token = cmp.Or(token, cookie.Value)
		}
		if token == "" {
			Errors.Write(w, r, fault.New(fault.Unauthenticated, "Sign in to go on."))
			return
		}
		session := identity.Session{ID: "sess_" + token, AccountID: MemberOf(token).ID}
		next.ServeHTTP(w, r.WithContext(identity.NewSessionContext(r.Context(), session)))
	})
}

func enter(next http.Handler, options []RouterOption) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _ := identity.SessionFromContext(r.Context())
		token := strings.TrimPrefix(session.ID, "sess_")
		access := identity.Access{Session: session, Member: MemberOf(token)}
		switch slug := httpserver.PathParam(r, httpserver.TenantParam); {
		case slug == "acme" && token != Stranger:
			access.Tenant = Acme
		case slug == "testcorp" && (token == Stranger || token == Owner):
			access.Tenant = Testcorp
		default:
			Errors.Write(w, r, tenancy.ErrNotFound)
			return
		}
		for _, option := range options {
			option(&access)
		}
		ctx := tenant.NewContext(r.Context(), access.Tenant.Schema)
		ctx = identity.NewAccessContext(ctx, access)
		ctx = web.NewContext(ctx, &web.Shell{
			Tenant: &web.Tenant{Name: access.Tenant.Name, Slug: access.Tenant.Slug.String(), Base: "/" + access.Tenant.Slug.String()},
			Person: &web.Person{Name: access.Member.Name(), Email: access.Member.Email, Role: string(access.Member.Role)},
		})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
