package clerkdev_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

var submissionInput = regexp.MustCompile(`name="submission" value="([^"]+)"`)

// submission is what a rendered form is known by.
func (p *portal) submission(t *testing.T, page string) string {
	t.Helper()
	_, body := p.visit(t, "GET", page, nil)
	found := submissionInput.FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("%s has no submission", page)
	}
	return found[1]
}

// stranger is another browser on the same portal.
func (p *portal) stranger(t *testing.T) *portal {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &portal{&http.Client{Jar: jar, CheckRedirect: p.CheckRedirect}, p.instance, p.url}
}

func (p *portal) signUp(t *testing.T, email string) {
	t.Helper()
	response, body := p.visit(t, "POST", "/__clerk/sign-up", url.Values{"email_address": {email}, "password": {"long enough"}})
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
}

// sessionID is the session of the browser's cookie.
func (p *portal) sessionID(t *testing.T) string {
	t.Helper()
	id, _ := decodeClaims(t, p.cookie("__session"))["sid"].(string)
	return id
}

// TestFormsAreAcceptedOnce sends the same rendering of a form twice, as a double
// click does: the browser drops the first answer, cookies included.
func TestFormsAreAcceptedOnce(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	form := url.Values{"email_address": {"ada@example.com"}, "password": {"long enough"}, "submission": {p.submission(t, "/__clerk/sign-up")}}
	var clicks sync.WaitGroup
	for range 4 {
		clicks.Go(func() {
			browser := p.stranger(t)
			response, body := browser.visit(t, "POST", "/__clerk/sign-up", form)
			if response.StatusCode != http.StatusSeeOther || browser.cookie("__session") == "" {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
	}
	clicks.Wait()
	if count, err := p.users.Count(t.Context(), &user.ListParams{}); err != nil || count.TotalCount != 1 {
		t.Errorf("%+v, %v", count, err)
	}
	p.visit(t, "POST", "/__clerk/sign-up", form)
	if p.sessionID(t) == "" {
		t.Fatal("the answer that is repeated signs nobody in")
	}

	// A name alone would make acme-2 of the second.
	form = url.Values{"name": {"Acme"}, "submission": {p.submission(t, "/__clerk/create-organization")}}
	for range 3 {
		if response, _ := p.visit(t, "POST", "/__clerk/create-organization", form); response.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", response.StatusCode)
		}
	}
	if list, err := p.organizations.List(t.Context(), &organization.ListParams{}); err != nil || list.TotalCount != 1 {
		t.Errorf("%+v, %v", list, err)
	}

	// What was refused is not remembered: the same form may be right by now.
	form = url.Values{"name": {"Other"}, "slug": {"acme"}, "submission": {p.submission(t, "/__clerk/create-organization")}}
	for slug, want := range map[string]int{"acme": 422} {
		form.Set("slug", slug)
		if response, body := p.visit(t, "POST", "/__clerk/create-organization", form); response.StatusCode != want || !strings.Contains(body, "taken") || !strings.Contains(body, `value="Other"`) {
			t.Errorf("%d %s", response.StatusCode, body)
		}
	}
	form.Set("slug", "other")
	if response, _ := p.visit(t, "POST", "/__clerk/create-organization", form); response.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", response.StatusCode)
	}

	// A signed-out person's form does not sign them in again.
	form = url.Values{"name": {"Third"}, "submission": {p.submission(t, "/__clerk/create-organization")}}
	p.visit(t, "POST", "/__clerk/create-organization", form)
	p.visit(t, "POST", "/__clerk/sign-out", nil)
	p.visit(t, "POST", "/__clerk/create-organization", form)
	if token := p.cookie("__session"); token != "" {
		t.Errorf("a form that is sent again signs in: %s", token)
	}
}

// TestSwitching goes from one organization to another by form and by script.
func TestSwitching(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	p.signUp(t, "ada@example.com")
	for _, slug := range []string{"acme", "other"} {
		p.visit(t, "POST", "/__clerk/create-organization", url.Values{"name": {slug}, "slug": {slug}})
	}
	foreign := p.organization(t, "foreign", p.user(t, "bob@example.com"))
	active := func() string {
		o, _ := decodeClaims(t, p.cookie("__session"))["o"].(map[string]any)
		slug, _ := o["slg"].(string)
		return slug
	}
	if got := active(); got != "other" {
		t.Errorf("%q is active, not the newest", got)
	}
	acme, err := p.organizations.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	touch := "/__clerk/v1/client/sessions/" + p.sessionID(t) + "/touch"
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		accept string
		want   int
	}{
		"by script":        {touch, url.Values{"active_organization_id": {acme.ID}}, "*/*", 200},
		"by form":          {touch, url.Values{"active_organization_id": {"acme"}, "redirect_url": {"/acme/dashboard"}}, "text/html", 303},
		"another's":        {touch, url.Values{"active_organization_id": {foreign.ID}}, "*/*", 404},
		"unknown":          {touch, url.Values{"active_organization_id": {"org_x"}}, "*/*", 404},
		"another session":  {"/__clerk/v1/client/sessions/sess_x/touch", url.Values{"active_organization_id": {acme.ID}}, "*/*", 401},
		"to another place": {touch, url.Values{"active_organization_id": {acme.ID}, "redirect_url": {"https://evil.example"}}, "text/html", 422},
	} {
		response, body := p.visit(t, "POST", c.path, c.form, "Accept", c.accept)
		if response.StatusCode != c.want {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
		if c.want == 303 && response.Header.Get("Location") != p.url+"/acme/dashboard" {
			t.Errorf("%s: to %s", name, response.Header.Get("Location"))
		}
	}
	if got := active(); got != "acme" {
		t.Errorf("%q is active", got)
	}
	p.visit(t, "POST", touch, url.Values{"active_organization_id": {""}})
	if got := active(); got != "" {
		t.Errorf("%q is active after a choice of none", got)
	}
	// Who signs in again is where they were last.
	p.visit(t, "POST", touch, url.Values{"active_organization_id": {acme.ID}})
	p.visit(t, "POST", "/__clerk/sign-out", nil)
	p.visit(t, "POST", "/__clerk/sign-in", url.Values{"email_address": {"ADA@example.com"}, "password": {"long enough"}})
	if got := active(); got != "acme" {
		t.Errorf("%q is active after signing in again", got)
	}
	if response, body := p.visit(t, "GET", "/__clerk/select-organization", nil); response.StatusCode != 200 || !strings.Contains(body, acme.ID) || strings.Contains(body, foreign.ID) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if response, _ := p.visit(t, "POST", "/__clerk/select-organization", url.Values{"organization_id": {foreign.ID}}); response.StatusCode != http.StatusNotFound {
		t.Errorf("another's organization is chosen: %d", response.StatusCode)
	}
}

// TestSessionRefresh is what the application's script does every 45 seconds.
func TestSessionRefresh(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	p.signUp(t, "ada@example.com")
	before, address := p.cookie("__session"), "/__clerk/v1/client/sessions/"+p.sessionID(t)+"/tokens"
	response, body := p.visit(t, "POST", address, nil)
	var answer struct{ Object, JWT string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || response.StatusCode != 200 || answer.Object != "token" || answer.JWT != p.cookie("__session") || answer.JWT == before {
		t.Errorf("%d %s, %v", response.StatusCode, body, err)
	}
	if response, _ := p.visit(t, "POST", address, nil, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); response.StatusCode != http.StatusForbidden {
		t.Errorf("another site refreshes: %d", response.StatusCode)
	}
	if response, _ := p.stranger(t).visit(t, "POST", address, nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger refreshes: %d", response.StatusCode)
	}
	// A session that was revoked at the Backend API ends here, cookies included.
	if code, answer := p.call(t, "POST", "/v1/sessions/"+p.sessionID(t)+"/revoke", ""); code != 200 {
		t.Fatalf("%d %v", code, answer)
	}
	if response, _ := p.visit(t, "POST", address, nil); response.StatusCode != http.StatusUnauthorized || p.cookie("__session") != "" || p.cookie("__client_uat") != "0" {
		t.Errorf("%d with %q", response.StatusCode, p.cookie("__client_uat"))
	}
}

// TestHandshakes compares what the handshake says with how the browser stands,
// for an instance in production and one in development.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	for name, development := range map[string]bool{"production": false, "development": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			i := start(t, clerkdev.Config{PublicURL: server.URL, Development: development})
			mux.Handle("/__clerk/", i.Frontend())
			if strings.HasPrefix(i.PublishableKey(), "pk_test_") != development {
				t.Error(i.PublishableKey())
			}
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			p := &portal{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, i, server.URL}
			shake := func(query string) (back url.Values, cookies map[string]string) {
				t.Helper()
				response, body := p.visit(t, "GET", "/__clerk/v1/client/handshake?redirect_url="+url.QueryEscape(p.url+"/x?a=1&a=2")+query, nil)
				if response.StatusCode != http.StatusTemporaryRedirect || response.Header.Get("Cache-Control") != "no-store" {
					t.Fatalf("%d %s", response.StatusCode, body)
				}
				location, err := url.Parse(response.Header.Get("Location"))
				if err != nil || !strings.HasPrefix(location.String(), p.url+"/x?") || !slices.Equal(location.Query()["a"], []string{"1", "2"}) {
					t.Fatalf("%v %v", location, err)
				}
				back = location.Query()
				var directives []any
				if nonce := back.Get("__clerk_handshake_nonce"); nonce != "" {
					_, payload := p.call(t, "GET", "/v1/clients/handshake_payload?nonce="+nonce, "")
					directives, _ = payload["directives"].([]any)
				} else {
					payload, err := base64.RawURLEncoding.DecodeString(strings.Split(back.Get("__clerk_handshake"), ".")[1])
					var claims struct{ Handshake []any }
					if err == nil {
						err = json.Unmarshal(payload, &claims)
					}
					if err != nil {
						t.Fatal(err)
					}
					directives = claims.Handshake
				}
				cookies = map[string]string{}
				for _, directive := range directives {
					cookie, err := http.ParseSetCookie(directive.(string))
					if err != nil {
						t.Fatal(err)
					}
					cookies[cookie.Name] = cookie.Value
				}
				return back, cookies
			}

			for _, format := range []string{"&format=nonce", ""} {
				back, cookies := shake(format)
				if cookies["__client_uat"] != "0" || cookies["__session"] != "" {
					t.Errorf("a stranger: %v", cookies)
				}
				if back.Has("__clerk_db_jwt") != development || (cookies["__clerk_db_jwt"] != "") != development || back.Get("__clerk_db_jwt") != cookies["__clerk_db_jwt"] {
					t.Errorf("the developer's browser: %v %v", back, cookies)
				}
			}
			if back, _ := shake("&__clerk_db_jwt=dvb_1"); development && back.Get("__clerk_db_jwt") != "dvb_1" {
				t.Errorf("a developer's browser changes: %v", back)
			}

			// More changes than there were milliseconds: the instance's clock runs ahead.
			for range 500 {
				if err := i.DefineRole("org:editor", "Editor"); err != nil {
					t.Fatal(err)
				}
			}
			p.signUp(t, "ada@example.com")
			for _, format := range []string{"&format=nonce", ""} {
				_, cookies := shake(format)
				uat, err := strconv.ParseInt(cookies["__client_uat"], 10, 64)
				claims := decodeClaims(t, cookies["__session"])
				if err != nil || uat == 0 || claims["iat"].(float64) < float64(uat) || uat > time.Now().Unix() {
					t.Errorf("uat %q and iat %v lead to another handshake", cookies["__client_uat"], claims["iat"])
				}
				plain, suffixed := 0, 0
				for name, value := range cookies {
					for _, base := range []string{"__session", "__client_uat", "__clerk_db_jwt"} {
						if name == base {
							plain++
						} else if strings.HasPrefix(name, base+"_") && len(name) == len(base)+9 && value == cookies[base] {
							suffixed++
						}
					}
				}
				if plain != suffixed || plain != len(cookies)/2 {
					t.Errorf("%d plain and %d suffixed cookies: %v", plain, suffixed, cookies)
				}
			}
			if claims := decodeClaims(t, p.cookie("__session")); claims["azp"] != p.url || claims["iss"] != p.url+"/__clerk" {
				t.Errorf("%v", claims)
			}
		})
	}
}

// TestForeignNames holds that a name that somebody else points at this machine
// shows them nothing.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	frontend := start(t, clerkdev.Config{}).Frontend()
	for host, want := range map[string]int{
		"localhost:3000": 200, "127.0.0.1:3000": 200, "[::1]:3000": 200, "tenon.localhost": 200,
		"evil.example": 421, "evil.example:3000": 421, "localhost.evil.example": 421, "10.0.0.1:3000": 421, "": 421, "localhost@evil.example": 421,
	} {
		request := httptest.NewRequest("GET", "/__clerk/sign-in", nil)
		request.Host = host
		w := httptest.NewRecorder()
		frontend.ServeHTTP(w, request)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}

// TestRefusedPeople tries the ways in for those who may not.
func TestRefusedPeople(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	ada := p.user(t, "ada@example.com")
	passwordless, err := p.users.Create(t.Context(), &user.CreateParams{EmailAddresses: &[]string{"sso@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func(form url.Values) (int, string) {
		response, body := p.visit(t, "POST", "/__clerk/sign-in", form)
		return response.StatusCode, body
	}
	for name, form := range map[string]url.Values{
		"nobody":               {},
		"an unknown address":   {"email_address": {"eve@example.com"}, "password": {"long enough"}},
		"an unknown person":    {"user_id": {"user_x"}},
		"without a password":   {"email_address": {"ada@example.com"}},
		"without one at all":   {"email_address": {"sso@example.com"}, "password": {""}},
		"an enormous password": {"email_address": {"ada@example.com"}, "password": {strings.Repeat("x", 100_000)}},
	} {
		if code, body := signIn(form); code != 422 || !strings.Contains(body, "not right") {
			t.Errorf("%s: %d", name, code)
		}
	}
	if _, err := p.users.Ban(t.Context(), ada.ID); err != nil {
		t.Fatal(err)
	}
	if code, body := signIn(url.Values{"user_id": {ada.ID}}); code != 422 || !strings.Contains(body, "suspended") {
		t.Errorf("banned: %d", code)
	}
	if code, _ := signIn(url.Values{"user_id": {passwordless.ID}}); code != http.StatusSeeOther {
		t.Errorf("by one click: %d", code)
	}
	for name, form := range map[string]url.Values{
		"nothing":         {},
		"a taken slug":    {"name": {"x"}, "slug": {"taken"}},
		"an empty name":   {"name": {" \t "}},
		"a name too long": {"name": {strings.Repeat("ü", 10_000)}},
		"two lines":       {"name": {"a\nb"}},
		"a unicode slug":  {"name": {"x"}, "slug": {"åcme"}},
		"a long slug":     {"name": {"x"}, "slug": {strings.Repeat("a", 64)}},
	} {
		if name == "a taken slug" {
			p.organization(t, "taken", p.user(t, "owner@example.com"))
		}
		response, body := p.visit(t, "POST", "/__clerk/create-organization", form)
		if response.StatusCode != 422 || !strings.Contains(body, "field-error") {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	if response, _ := p.visit(t, "POST", "/__clerk/create-organization", url.Values{"name": {"Größe & Söhne 🚀"}}); response.StatusCode != http.StatusSeeOther {
		t.Errorf("a unicode name: %d", response.StatusCode)
	}
	if response, _ := p.visit(t, "POST", "/__clerk/sign-up", url.Values{"x": {strings.Repeat("x", 2<<20)}}); response.StatusCode != http.StatusBadRequest {
		t.Errorf("2 MiB: %d", response.StatusCode)
	}
}

// TestInvitationLeadsOn holds where an accepted invitation ends.
func TestInvitationLeadsOn(t *testing.T) {
	t.Parallel()
	p := openPortal(t)
	acme := p.organization(t, "acme", p.user(t, "ada@example.com"))
	if _, err := p.invitations.Create(t.Context(), &organizationinvitation.CreateParams{
		OrganizationID: acme.ID, EmailAddress: clerk.String("bob@example.com"), Role: clerk.String("org:member"), RedirectURL: clerk.String(p.url + "/acme/welcome"),
	}); err != nil {
		t.Fatal(err)
	}
	_, list := p.call(t, "GET", "/v1/organization_invitations", "")
	link, err := url.Parse(list["data"].([]any)[0].(map[string]any)["url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	// As a person does: follow every redirect, fill in the form that is there.
	response, _ := p.visit(t, "GET", link.RequestURI(), nil)
	signUp, err := url.Parse(response.Header.Get("Location"))
	if err != nil || signUp.Path != "/__clerk/sign-up" {
		t.Fatalf("to %v, %v", signUp, err)
	}
	if _, body := p.visit(t, "GET", signUp.RequestURI(), nil); !strings.Contains(body, `value="bob@example.com"`) {
		t.Error("the invited address is not filled in")
	}
	response, _ = p.visit(t, "POST", "/__clerk/sign-up", url.Values{
		"email_address": {"bob@example.com"}, "password": {"long enough"}, "redirect_url": {signUp.Query().Get("redirect_url")},
	})
	if location := response.Header.Get("Location"); location != p.url+link.RequestURI() {
		t.Fatalf("the invitation is forgotten: %s", location)
	}
	_, body := p.visit(t, "GET", link.RequestURI(), nil)
	form := url.Values{}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		form.Set(hidden[1], hidden[2])
	}
	response, _ = p.visit(t, "POST", "/__clerk/accept-invitation", form)
	if location := response.Header.Get("Location"); location != p.url+"/acme/welcome" {
		t.Errorf("%d to %s", response.StatusCode, location)
	}
	members, err := p.memberships.List(t.Context(), &organizationmembership.ListParams{OrganizationID: acme.ID, EmailAddressQuery: clerk.String("bob@")})
	if err != nil || members.TotalCount != 1 {
		t.Errorf("%+v, %v", members, err)
	}
}

// FuzzRedirect holds that no address leads away from the application.
func FuzzRedirect(f *testing.F) {
	emulator, err := clerkdev.New(clerkdev.Config{PublicURL: "http://localhost:3000"})
	if err != nil {
		f.Fatal(err)
	}
	frontend := emulator.Frontend()
	for _, seed := range []string{
		"/", "", "/acme?a=b#c", "http://localhost:3000/x", "http://localhost:3000@evil.example/", "//evil.example", `/\evil.example`, "https:evil.example",
		"javascript:alert(1)", "http:///evil.example", "http://localhost:3000:80/", "/\t/evil.example", "///evil.example", "%2f%2fevil.example", "http:localhost:3000/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		w := httptest.NewRecorder()
		frontend.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost:3000/__clerk/v1/client/handshake?redirect_url="+url.QueryEscape(target), nil))
		if w.Code == http.StatusUnprocessableEntity {
			return
		}
		location := w.Header().Get("Location")
		if w.Code != http.StatusTemporaryRedirect || !strings.HasPrefix(location, "http://localhost:3000/") && !strings.HasPrefix(location, "http://localhost:3000?") {
			t.Errorf("%q leads to %q (%d)", target, location, w.Code)
		}
	})
}
