package clerk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

const secretKey = "sk_test_hunter2"

// backendAPI is as much of Clerk's Backend API as the provider asks, over HTTP
// and with the shapes of its documentation.
type backendAPI struct {
	*http.ServeMux

	mu       sync.Mutex
	requests []string
}

func (b *backendAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.requests = append(b.requests, r.Method+" "+r.URL.RequestURI())
	b.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+secretKey {
		refuseCall(w, http.StatusUnauthorized)
		return
	}
	b.ServeMux.ServeHTTP(w, r)
}

func refuseCall(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"errors":[{"code":"x","message":"no","long_message":"no"}],"clerk_trace_id":"trace_1"}`)
}

func newProvider(t *testing.T, routes map[string]http.HandlerFunc) (*clerk.Provider, *backendAPI) {
	t.Helper()
	api := &backendAPI{ServeMux: http.NewServeMux()}
	for pattern, handler := range routes {
		api.HandleFunc(pattern, handler)
	}
	api.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuseCall(w, http.StatusNotFound) })
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return clerk.NewProvider(sdk.NewBackend(&sdk.BackendConfig{
		HTTPClient: &http.Client{Timeout: 200 * time.Millisecond}, URL: new(server.URL), Key: new(secretKey),
	})), api
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

const adaJSON = `{"id":"user_ada","object":"user","first_name":"Ada","last_name":null,"image_url":"https://img.example/ada",
	"primary_email_address_id":"idn_2","primary_phone_number_id":null,"private_metadata":{"secret":"hunter2"},
	"email_addresses":[{"id":"idn_1","email_address":"old@example.com"},{"id":"idn_2","email_address":"ada@example.com"}],
	"phone_numbers":[],"two_factor_enabled":true,"created_at":1700000000000,"updated_at":1700000001000}`

func membershipJSON(n int) string {
	return fmt.Sprintf(`{"id":"orgmem_%[1]d","object":"organization_membership","role":"org:admin","created_at":1700000002000,"updated_at":1700000003000,
		"organization":{"id":"org_%[1]d","name":"Org %[1]d","slug":"org-%[1]d","image_url":"","created_by":"user_ada","created_at":1700000000000,"updated_at":1700000001000},
		"public_user_data":{"user_id":"user_ada","first_name":"Ada","last_name":null,"image_url":"","identifier":"ada@example.com"}}`, n)
}

func list(total int, items ...string) string {
	return fmt.Sprintf(`{"data":[%s],"total_count":%d}`, strings.Join(items, ","), total)
}

var (
	ada = identity.Account{
		ID: "user_ada", Email: "ada@example.com", FirstName: "Ada", AvatarURL: "https://img.example/ada", TwoFactor: true,
		CreatedAt: time.UnixMilli(1700000000000).UTC(), UpdatedAt: time.UnixMilli(1700000001000).UTC(),
	}
	firstOrganization = identity.Organization{
		ID: "org_1", Name: "Org 1", Slug: "org-1", CreatedBy: "user_ada",
		CreatedAt: time.UnixMilli(1700000000000).UTC(), UpdatedAt: time.UnixMilli(1700000001000).UTC(),
	}
	firstMembership = identity.Membership{
		ID: "orgmem_1", OrganizationID: "org_1", AccountID: "user_ada", ProviderRole: "org:admin",
		CreatedAt: time.UnixMilli(1700000002000).UTC(), UpdatedAt: time.UnixMilli(1700000003000).UTC(),
	}
)

func TestObserve(t *testing.T) {
	t.Parallel()
	provider, api := newProvider(t, map[string]http.HandlerFunc{
		"GET /users/user_ada":                  answer(adaJSON),
		"GET /organizations/org_1/memberships": answer(list(1, membershipJSON(1))),
	})
	got, err := provider.Observe(t.Context(), "org_1", "user_ada")
	want := identity.Observation{
		Accounts: []identity.Account{ada}, Organizations: []identity.Organization{firstOrganization}, Memberships: []identity.Membership{firstMembership},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if asked := api.requests[1]; !strings.Contains(asked, "user_id=user_ada") {
		t.Errorf("asked for everybody: %s", asked)
	}
}

// TestObserveWantsTheMembership: an answer about somebody else, or about nobody,
// makes nobody a member.
func TestObserveWantsTheMembership(t *testing.T) {
	t.Parallel()
	stranger := strings.Replace(membershipJSON(1), `"user_id":"user_ada"`, `"user_id":"user_eve"`, 1)
	for name, memberships := range map[string]string{"nobody": list(0), "somebody else": list(1, stranger)} {
		provider, _ := newProvider(t, map[string]http.HandlerFunc{
			"GET /users/user_ada": answer(adaJSON), "GET /organizations/org_1/memberships": answer(memberships),
		})
		if got, err := provider.Observe(t.Context(), "org_1", "user_ada"); !fault.Is(err, fault.NotFound) || !got.IsZero() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestObserveAccountReadsEveryPage(t *testing.T) {
	t.Parallel()
	const total = 1203
	provider, api := newProvider(t, map[string]http.HandlerFunc{
		"GET /users/user_ada": answer(adaJSON),
		"GET /users/user_ada/organization_memberships": func(w http.ResponseWriter, r *http.Request) {
			limit, _ := strconv.Atoi(r.FormValue("limit"))
			offset, _ := strconv.Atoi(r.FormValue("offset"))
			var page []string
			for n := offset; n < min(offset+limit, total); n++ {
				page = append(page, membershipJSON(n))
			}
			answer(list(total, page...))(w, r)
		},
	})
	got, err := provider.ObserveAccount(t.Context(), "user_ada")
	if err != nil || len(got.Memberships) != total || len(got.Organizations) != total || len(got.Accounts) != 1 {
		t.Errorf("%d memberships, %d organizations, %v", len(got.Memberships), len(got.Organizations), err)
	}
	if len(api.requests) != 4 {
		t.Errorf("%d requests: %q", len(api.requests), api.requests)
	}
}

// TestAListThatPromisesMoreEnds: a membership may end between two pages.
func TestAListThatPromisesMoreEnds(t *testing.T) {
	t.Parallel()
	provider, _ := newProvider(t, map[string]http.HandlerFunc{
		"GET /users/user_ada": answer(adaJSON),
		"GET /users/user_ada/organization_memberships": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("offset") == "0" {
				answer(list(2, membershipJSON(1)))(w, r)
				return
			}
			answer(list(2))(w, r)
		},
	})
	if got, err := provider.ObserveAccount(t.Context(), "user_ada"); err != nil || len(got.Memberships) != 1 {
		t.Errorf("%d memberships, %v", len(got.Memberships), err)
	}
}

func TestUpdateName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ first, last, want string }{
		{"Ada", "Lovelace", `{"first_name":"Ada","last_name":"Lovelace"}`},
		{"Ada", "", `{"first_name":"Ada"}`},
		{"", `Ö"Neil`, `{"last_name":"Ö\"Neil"}`},
	} {
		var body string
		provider, _ := newProvider(t, map[string]http.HandlerFunc{"PATCH /users/user_ada": func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			body = string(data)
			answer(adaJSON)(w, r)
		}})
		account, err := provider.UpdateName(t.Context(), "user_ada", test.first, test.last)
		if diff := cmp.Diff(ada, account); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		var got, want any
		if json.Unmarshal([]byte(body), &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil || !cmp.Equal(got, want) {
			t.Errorf("sent %s, want %s", body, test.want)
		}
	}
}

// TestOnlyIDsReachAPath has text that would lead to another of Clerk's
// resources. Nothing is asked for any of it.
func TestOnlyIDsReachAPath(t *testing.T) {
	t.Parallel()
	provider, api := newProvider(t, nil)
	for _, id := range []string{"", "../organizations/org_1", "user_1/../user_2", "user_1?limit=1", "user_1%2Fx", "user 1", "user_1\n", "ü", strings.Repeat("u", 129), "."} {
		_, err1 := provider.Observe(t.Context(), id, "user_ada")
		_, err2 := provider.Observe(t.Context(), "org_1", id)
		_, err3 := provider.ObserveAccount(t.Context(), id)
		_, err4 := provider.UpdateName(t.Context(), id, "A", "B")
		for n, err := range []error{err1, err2, err3, err4} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%d for %q: %v", n, id, err)
			}
		}
	}
	if len(api.requests) != 0 {
		t.Errorf("asked for %q", api.requests)
	}
}

func TestFailuresHaveKinds(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client left
		<-r.Context().Done()
	}
	status := func(status int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			refuseCall(w, status)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		kind    fault.Kind
		retry   time.Duration
	}{
		"not known":                {status(404, ""), fault.NotFound, 0},
		"too many, until":          {status(429, "7"), fault.RateLimited, 7 * time.Second},
		"too many":                 {status(429, ""), fault.RateLimited, time.Second},
		"too many, until nonsense": {status(429, "soon"), fault.RateLimited, time.Second},
		"refused":                  {status(422, ""), fault.Invalid, 0},
		"our key is not good":      {status(401, ""), fault.Internal, 0},
		"forbidden to our key":     {status(403, ""), fault.Internal, 0},
		"broken":                   {status(500, ""), fault.Unavailable, 0},
		"away":                     {status(503, ""), fault.Unavailable, 0},
		"no JSON":                  {answer("<html>"), fault.Unavailable, 0},
		"an incomplete user":       {answer(`{"id":"user_ada"}`), fault.Internal, 0},
		"hangs":                    {hang, fault.Unavailable, 0},
		"breaks off":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.Unavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, _ := newProvider(t, map[string]http.HandlerFunc{"/users/user_ada": test.handler})
			_, observeErr := provider.ObserveAccount(t.Context(), "user_ada")
			_, updateErr := provider.UpdateName(t.Context(), "user_ada", "A", "B")
			for _, err := range []error{observeErr, updateErr} {
				if !fault.Is(err, test.kind) || fault.As(err).RetryAfter != test.retry {
					t.Errorf("%v after %v: %v", fault.KindOf(err), fault.As(err).RetryAfter, err)
				}
				if strings.Contains(err.Error(), "hunter2") || strings.Contains(fault.As(err).Message, "trace_1") {
					t.Errorf("the error tells %v", err)
				}
			}
		})
	}
	t.Run("whoever asked went away", func(t *testing.T) {
		t.Parallel()
		provider, _ := newProvider(t, map[string]http.HandlerFunc{"/users/user_ada": hang})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := provider.ObserveAccount(ctx, "user_ada"); !fault.Is(err, fault.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
