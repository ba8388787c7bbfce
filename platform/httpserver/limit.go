package httpserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tenonhq/tenon/platform/ratelimit"
)

// Limits are how many requests one sender may make in a [ratelimit.Window]; 0 is
// no limit. A request may count towards several.
type Limits struct {
	// Address is for each client address, before anything is known of who asks.
	Address int
	// SignIn is for each client address on the way to the identity provider,
	// and Webhook for each that delivers webhooks; both instead of Address.
	SignIn, Webhook int
	// Person is for each person, wherever they are, Key for each API key, in place
	// of Person, and Tenant for each tenant, whoever asks.
	Person, Key, Tenant int
}

// limiters count requests for [Limits].
type limiters struct{ address, signIn, webhook, person, key, tenant *ratelimit.Limiter }

func newLimiters(limits Limits, shared *ratelimit.Redis) limiters {
	return limiters{
		address: ratelimit.New("address", limits.Address, shared),
		signIn:  ratelimit.New("sign-in", limits.SignIn, shared),
		webhook: ratelimit.New("webhook", limits.Webhook, shared),
		person:  ratelimit.New("person", limits.Person, shared),
		key:     ratelimit.New("key", limits.Key, shared),
		tenant:  ratelimit.New("tenant", limits.Tenant, shared),
	}
}

// of returns the limiter of client addresses that is for path. Health is asked
// about by machines of one's own, and what never changes is cached, so neither
// costs anything.
func (l *limiters) of(path string) *ratelimit.Limiter {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == healthPath, path == readyPath, strings.HasPrefix(path, "/assets/"):
		return nil
	case slices.Contains(signInSegments, first):
		return l.signIn
	case strings.HasPrefix(path, apiPrefix+"/webhooks/"):
		return l.webhook
	}
	return l.address
}

// signInSegments are the first path segments of the ways in and out. Others that begin
// like them are tenants' slugs.
var signInSegments = []string{"sign-in", "sign-up", "sign-out"}

// limitAddress counts a request before anything is done for it.
func (rt *Router) limitAddress(next http.Handler) http.Handler {
	return rt.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
		client := ClientIP(r.Context())
		if !client.IsValid() { // a proxy that did not say: count the proxy
			if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
				client = peer.Addr()
			}
		}
		if err := rt.limiters.of(r.URL.Path).Take(w, r, ratelimit.KeyOf(client)); err != nil {
			return err
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// limitPerson counts a request once it is known who sends it: a person, or a
// program with a key, which uses up nothing of the person's.
func (rt *Router) limitPerson(next http.Handler) http.Handler {
	return rt.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
		caller, limiter := rt.config.Caller(r.Context()), rt.limiters.person
		if caller.Key != "" {
			limiter = rt.limiters.key
		}
		if caller.Account != "" {
			if err := limiter.Take(w, r, caller.sender()); err != nil {
				return err
			}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// limitTenant counts a request of somebody who was let into a tenant, so that
// nobody else uses up what is theirs.
func (rt *Router) limitTenant(next http.Handler) http.Handler {
	return rt.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if caller := rt.config.Caller(r.Context()); caller.Tenant != "" {
			if err := rt.limiters.tenant.Take(w, r, caller.Tenant); err != nil {
				return err
			}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}
