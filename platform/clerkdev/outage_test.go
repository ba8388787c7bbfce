package clerkdev_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ask := func() error {
		_, err := i.users.List(t.Context(), &user.ListParams{})
		return err
	}
	create := func(email string) error {
		_, err := i.users.Create(t.Context(), &user.CreateParams{EmailAddresses: &[]string{email}})
		return err
	}
	set := func(o clerkdev.Outage) {
		t.Helper()
		if err := i.SetOutage(o); err != nil {
			t.Fatal(err)
		}
	}

	set(clerkdev.Outage{Status: 429, RetryAfter: 7, Calls: 2})
	for range 2 {
		err := create("ada@example.com")
		answer, ok := errors.AsType[*clerk.APIErrorResponse](err)
		if !ok || answer.HTTPStatusCode != 429 || answer.Errors[0].Code != "too_many_requests" || answer.Response.Header.Get("Retry-After") != "7" {
			t.Errorf("%v", err)
		}
	}
	if err := create("ada@example.com"); err != nil || i.Outage() != (clerkdev.Outage{}) {
		t.Errorf("after its calls an outage is over: %v, %+v", err, i.Outage())
	}

	set(clerkdev.Outage{Status: 503, Path: "/v1/jwks"})
	if _, err := i.jwks.Get(t.Context(), &jwks.GetParams{}); err == nil {
		t.Error("the keys are there")
	}
	if err := ask(); err != nil {
		t.Errorf("another path: %v", err)
	}

	set(clerkdev.Outage{Status: 500, Late: true, Calls: 1})
	if code, _ := status(create("late@example.com")); code != 500 {
		t.Errorf("got %d", code)
	}
	if found, err := i.users.List(t.Context(), &user.ListParams{EmailAddresses: []string{"late@example.com"}}); err != nil || found.TotalCount != 1 {
		t.Errorf("what failed late took no effect: %+v, %v", found, err)
	}

	set(clerkdev.Outage{Silent: true, Calls: 2})
	asked := make(chan error, 1)
	go func() { asked <- ask() }()
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := i.users.List(impatient, &user.ListParams{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence says %v", err)
	}
	for i.Outage() != (clerkdev.Outage{}) { // until both calls have met it
		time.Sleep(time.Millisecond)
	}
	set(clerkdev.Outage{})
	if err := <-asked; err == nil {
		t.Error("who waited got an answer")
	}

	set(clerkdev.Outage{Delay: 0.05})
	if began := time.Now(); ask() != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("an answer took %v", time.Since(began))
	}
	set(clerkdev.Outage{Delay: 3600})
	go func() { asked <- ask() }()
	time.AfterFunc(20*time.Millisecond, func() { _ = i.SetOutage(clerkdev.Outage{}) })
	if err := <-asked; err != nil {
		t.Errorf("whose answer was slow when the outage ended: %v", err)
	}
}

// TestOutageByPrograms: they ask for one beside Clerk's own paths, which stays
// within reach whatever the others answer.
func TestOutageByPrograms(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	if code, got := i.call(t, "PUT", "/outage", `{"status": 503, "calls": 5}`); code != 200 || got["status"] != 503. || got["calls"] != 5. {
		t.Errorf("%d %v", code, got)
	}
	if code, _ := i.call(t, "GET", "/v1/users", ""); code != 503 {
		t.Errorf("got %d", code)
	}
	if code, got := i.call(t, "GET", "/outage", ""); code != 200 || got["calls"] != 4. {
		t.Errorf("%d %v", code, got)
	}
	before := i.Outage()
	for _, body := range []string{`{"status": 404}`, `{"status": 600}`, `{"status": "503"}`, `{"delay": -1}`, `{"delay": 1e99}`, `{"calls": -1}`, `{"retry_after": 3601}`, `{"path": "jwks"}`, `{"unknown": 1}`, `{`, `[]`, strings.Repeat(" ", 2<<20)} {
		if code, _ := i.call(t, "PUT", "/outage", body); code < 400 || code >= 500 {
			t.Errorf("%.20s: %d", body, code)
		}
	}
	if i.Outage() != before {
		t.Errorf("what was refused changed it: %+v", i.Outage())
	}
	if i.SetOutage(clerkdev.Outage{Delay: math.NaN()}) == nil {
		t.Error("a delay that is no number")
	}
	request, err := http.NewRequestWithContext(t.Context(), "PUT", i.backend+"/outage", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized || i.Outage() != before {
		t.Errorf("without the secret key: %d", response.StatusCode)
	}
}

// TestConsoleOutage sets outages by the form, which keeps what it refuses.
func TestConsoleOutage(t *testing.T) {
	t.Parallel()
	p, _ := openConsole(t)
	for _, test := range []struct {
		form url.Values
		want clerkdev.Outage
	}{
		{url.Values{"answer": {"429"}, "retry_after": {"7"}, "calls": {"2"}, "late": {"on"}}, clerkdev.Outage{Status: 429, RetryAfter: 7, Calls: 2, Late: true}},
		{url.Values{"answer": {"nothing"}, "path": {"/v1/jwks"}}, clerkdev.Outage{Silent: true, Path: "/v1/jwks"}},
		{url.Values{"answer": {"as-ever"}, "delay": {"0.5"}}, clerkdev.Outage{Delay: 0.5}},
		{url.Values{"answer": {"as-ever"}}, clerkdev.Outage{}},
		{url.Values{"answer": {"503"}}, clerkdev.Outage{Status: 503}},
	} {
		if response, body := p.visit(t, "POST", "/__clerk/outage", test.form); response.StatusCode != http.StatusSeeOther || p.Outage() != test.want {
			t.Errorf("%v: %d %+v\n%s", test.form, response.StatusCode, p.Outage(), body)
		}
	}
	if _, body := p.visit(t, "GET", "/__clerk/outage", nil); !strings.Contains(body, "fails at the moment") || !strings.Contains(body, `value="503" selected`) {
		t.Error("the page does not say what is set")
	}
	for name, value := range map[string]string{"answer": "404", "retry_after": "soon", "delay": "NaN", "calls": "1.5", "path": "/x"} {
		form := url.Values{"answer": {"429"}, "retry_after": {"41"}}
		form.Set(name, value)
		response, body := p.visit(t, "POST", "/__clerk/outage", form)
		kept := fmt.Sprintf(`value="%s"`, value)
		if response.StatusCode != http.StatusUnprocessableEntity || name != "answer" && !strings.Contains(body, kept) || !strings.Contains(body, "aria-invalid") {
			t.Errorf("%s: %d\n%s", name, response.StatusCode, body)
		}
	}
	if p.Outage() != (clerkdev.Outage{Status: 503}) {
		t.Errorf("what was refused changed it: %+v", p.Outage())
	}
}

// TestConsoleRoles makes and deletes roles by forms.
func TestConsoleRoles(t *testing.T) {
	t.Parallel()
	p, _ := openConsole(t)
	p.organization(t, "acme", p.user(t, "ada@example.com"))
	send := func(path string, form url.Values) (int, string) {
		response, body := p.visit(t, "POST", "/__clerk"+path, form)
		return response.StatusCode, body
	}
	if code, body := send("/roles", url.Values{"key": {"org:author"}, "name": {"Editor"}, "permissions": {"org:projects:create org:projects:read"}}); code != http.StatusSeeOther {
		t.Fatalf("%d\n%s", code, body)
	}
	if _, body := p.visit(t, "GET", "/__clerk/roles", nil); !strings.Contains(body, "org:author") || !strings.Contains(body, "org:projects:read") {
		t.Error("the role is not listed")
	}
	for name, form := range map[string]url.Values{
		"a key twice":      {"key": {"org:author"}, "name": {"Other"}},
		"no key":           {"key": {"boss"}, "name": {"Boss"}},
		"no name":          {"key": {"org:boss"}, "name": {" "}},
		"a bad permission": {"key": {"org:boss"}, "name": {"Boss"}, "permissions": {"everything"}},
	} {
		if code, body := send("/roles", form); code != http.StatusUnprocessableEntity || !strings.Contains(body, `value="`+form.Get("key")+`"`) {
			t.Errorf("%s: %d", name, code)
		}
	}
	for key, want := range map[string]int{"org:author": http.StatusSeeOther, "org:admin": http.StatusSeeOther, "org:none": http.StatusNotFound, "": http.StatusNotFound} {
		if code, _ := send("/roles/delete", url.Values{"key": {key}}); code != want {
			t.Errorf("%q: %d", key, code)
		}
	}
	if _, body := p.visit(t, "GET", "/__clerk/roles", nil); strings.Contains(body, "org:author") || !strings.Contains(body, "org:admin") {
		t.Error("not the right roles were deleted")
	}
}
