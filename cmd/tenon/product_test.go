package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

// product is the whole product as `tenon dev` runs it, in this process, driven
// from outside as any program would.
type product struct {
	readyLine
	seeder
	log *syncBuffer
}

// startProduct runs `tenon dev` on a database of its own until the test ends.
func startProduct(t testing.TB, args ...string) *product {
	t.Helper()
	cache := t.TempDir()
	environ := []string{"DATABASE_URL=" + localpgtest.NewDatabase(t)}
	t.Setenv("XDG_CACHE_HOME", cache) // where the emulator keeps its state
	return startCommand(t, environ, args...)
}

// startCommand runs `tenon dev --json` with a free port until the test ends.
func startCommand(t testing.TB, environ []string, args ...string) *product {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	output, input := io.Pipe()
	log := new(syncBuffer)
	exit := make(chan int, 1)
	go func() {
		args := append([]string{"tenon", "dev", "--json", "--addr", "localhost:0"}, args...)
		exit <- run(ctx, args, surroundings{environ: environ, stdout: input, stderr: log})
		_ = input.Close() // never fails
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if code := <-exit; code != 0 {
			t.Errorf("tenon dev exits with %d:\n%s", code, log)
		}
	})
	t.Cleanup(stop)
	p := &product{log: log}
	if err := json.NewDecoder(output).Decode(&p.readyLine); err != nil {
		t.Fatalf("tenon dev does not get ready: %v\n%s", err, log)
	}
	p.seeder = newSeeder(p.readyLine)
	return p
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

var serial atomic.Int64

// newUser makes an account.
func (p *product) newUser(t testing.TB, name string) *clerk.User {
	t.Helper()
	email := fmt.Sprintf("%s%d@example.com", strings.ToLower(name), serial.Add(1))
	made, err := p.users.Create(t.Context(), &user.CreateParams{
		EmailAddresses: &[]string{email}, FirstName: &name, LastName: clerk.String("Example"), Password: clerk.String(demoPassword),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// newOrganization makes an organization that owner creates.
func (p *product) newOrganization(t testing.TB, name, slug string, owner *clerk.User) *clerk.Organization {
	t.Helper()
	made, err := p.organizations.Create(t.Context(), &organization.CreateParams{Name: &name, Slug: &slug, CreatedBy: &owner.ID})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// join makes somebody a member with a role of the provider's.
func (p *product) join(t testing.TB, o *clerk.Organization, who *clerk.User, role string) *clerk.OrganizationMembership {
	t.Helper()
	made, err := p.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: o.ID, UserID: &who.ID, Role: &role})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// token signs somebody in with an active organization, which may be nil.
func (p *product) token(t testing.TB, who *clerk.User, active *clerk.Organization) string {
	t.Helper()
	id := ""
	if active != nil {
		id = active.ID
	}
	made, err := p.signIn(t.Context(), who.ID, id)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.sessionToken(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is what a refusal says.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Name, Message string }
}

func (a answer) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// call sends a request to the product. The body is JSON unless it is a string.
func (p *product) call(t testing.TB, method, path, token string, body any, header ...string) answer {
	t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(read)}
}

// eventually waits until condition holds: what a webhook causes takes a moment.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	eventuallyWithin(t, time.Minute, what, condition)
}

func eventuallyWithin(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not happen: %v", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
