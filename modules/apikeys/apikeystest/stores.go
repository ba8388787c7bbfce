// Package apikeystest has the contract that every implementation of the ports of
// modules/apikeys passes.
package apikeystest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/tenant"
)

// The members of both tenants.
const (
	Ada = "user_ada"
	Bob = "user_bob"
)

// The ids of the two tenants.
const (
	TenantA = "org_a"
	TenantB = "org_b"
)

// Stores are implementations of the ports that work together: empty, with two
// tenants that have [Ada] and [Bob] as members.
type Stores struct {
	Repository apikeys.Repository
	Index      apikeys.Index
	Tx         apikeys.Transactor
	A, B       tenant.Schema
}

// Run runs the contract, each part of it on stores of its own.
func Run(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	for name, test := range map[string]func(s suite, t *testing.T){
		"an inserted key is found":                suite.inserted,
		"keys are listed with the newest first":   suite.listed,
		"a deleted key is gone":                   suite.deleted,
		"a key is deleted once":                   suite.raceForDelete,
		"an id is taken once":                     suite.taken,
		"an indexed key is found, hash and all":   suite.indexed,
		"the index deletes for the right tenant":  suite.indexDeleted,
		"uses are known of a tenant, latest wins": suite.used,
		"both are written or neither":             suite.whole,
		"tenants are apart":                       suite.apart,
		"no tenant, no statement":                 suite.noTenant,
		"a cancelled context changes nothing":     suite.cancelled,
		"hostile text stays text":                 suite.hostile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stores := newStores(t)
			test(suite{stores, tenant.NewContext(t.Context(), stores.A)}, t)
		})
	}
}

type suite struct {
	Stores
	ctx context.Context // in tenant A
}

// at returns a moment n seconds after some moment, as fine as PostgreSQL keeps it.
func at(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC).Add(time.Duration(n) * time.Second)
}

func newKey(id string, n int) apikeys.Key {
	return apikeys.Key{
		ID: id, Name: "Key " + id, Permissions: []identity.Permission{identity.ProjectsViewAll, identity.UsersView},
		CreatedBy: Ada, CreatedAt: at(n), ExpiresAt: at(n + 1000),
	}
}

func newEntry(id, tenantID string) apikeys.Entry {
	return apikeys.Entry{
		ID: id, TenantID: tenantID, AccountID: Ada, Hash: apikeys.Hash{0, 1, 255, 31: 7},
		Permissions: []identity.Permission{identity.ProjectsViewAll}, CreatedAt: at(0), ExpiresAt: at(1000),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	equal := gocmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := gocmp.Diff(want, got, equal, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func (s suite) insert(t *testing.T, keys ...apikeys.Key) {
	t.Helper()
	for _, key := range keys {
		must(t, s.Repository.Insert(s.ctx, key))
	}
}

func (s suite) ids(t *testing.T, ctx context.Context) []string {
	t.Helper()
	found, err := s.Repository.List(ctx)
	must(t, err)
	ids := make([]string, len(found))
	for i, key := range found {
		ids[i] = key.ID
	}
	return ids
}

func (s suite) inserted(t *testing.T) {
	_, err := s.Repository.ByID(s.ctx, "A")
	expectError(t, "before", err, apikeys.ErrNotFound)
	s.insert(t, newKey("A", 0))
	found, err := s.Repository.ByID(s.ctx, "A")
	must(t, err)
	same(t, "found", found, newKey("A", 0))
	_, err = s.Repository.ByID(s.ctx, "a")
	expectError(t, "in another case", err, apikeys.ErrNotFound)
}

func (s suite) listed(t *testing.T) {
	s.insert(t, newKey("B", 1), newKey("A", 1), newKey("C", 2), newKey("D", 0))
	if got := s.ids(t, s.ctx); !slices.Equal(got, []string{"C", "A", "B", "D"}) {
		t.Errorf("%q", got)
	}
}

func (s suite) deleted(t *testing.T) {
	s.insert(t, newKey("A", 0), newKey("B", 1))
	gone, err := s.Repository.Delete(s.ctx, "A")
	must(t, err)
	same(t, "deleted", gone, newKey("A", 0))
	_, err = s.Repository.Delete(s.ctx, "A")
	expectError(t, "again", err, apikeys.ErrNotFound)
	if got := s.ids(t, s.ctx); !slices.Equal(got, []string{"B"}) {
		t.Errorf("%q", got)
	}
}

func (s suite) raceForDelete(t *testing.T) {
	s.insert(t, newKey("A", 0))
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Repository.Delete(s.ctx, "A") })
	}
	wg.Wait()
	deleted := 0
	for _, err := range errs {
		if err == nil {
			deleted++
		} else {
			expectError(t, "of many", err, apikeys.ErrNotFound)
		}
	}
	if deleted != 1 {
		t.Errorf("deleted %d times", deleted)
	}
}

func (s suite) taken(t *testing.T) {
	s.insert(t, newKey("A", 0))
	if s.Repository.Insert(s.ctx, newKey("A", 1)) == nil {
		t.Error("the repository takes an id twice")
	}
	must(t, s.Index.Insert(t.Context(), newEntry("A", TenantA)))
	if s.Index.Insert(t.Context(), newEntry("A", TenantB)) == nil {
		t.Error("the index takes an id twice")
	}
}

func (s suite) indexed(t *testing.T) {
	_, err := s.Index.Find(t.Context(), "A")
	expectError(t, "before", err, apikeys.ErrNotFound)
	must(t, s.Index.Insert(t.Context(), newEntry("A", TenantA)))
	for _, ctx := range []context.Context{t.Context(), s.ctx, tenant.NewContext(t.Context(), s.B)} {
		found, err := s.Index.Find(ctx, "A")
		must(t, err)
		same(t, "found", found, newEntry("A", TenantA))
	}
}

func (s suite) indexDeleted(t *testing.T) {
	must(t, s.Index.Insert(t.Context(), newEntry("A", TenantA)))
	must(t, s.Index.Delete(t.Context(), TenantB, "A"))
	_, err := s.Index.Find(t.Context(), "A")
	expectError(t, "after another tenant's", err, nil)
	for range 2 {
		must(t, s.Index.Delete(t.Context(), TenantA, "A"))
		_, err = s.Index.Find(t.Context(), "A")
		expectError(t, "after its own", err, apikeys.ErrNotFound)
	}
}

func (s suite) used(t *testing.T) {
	for id, owner := range map[string]string{"A": TenantA, "B": TenantA, "C": TenantB} {
		must(t, s.Index.Insert(t.Context(), newEntry(id, owner)))
	}
	for _, use := range []struct {
		id string
		at int
	}{{"A", 5}, {"A", 3}, {"C", 7}, {"none", 1}} {
		must(t, s.Index.Touch(t.Context(), use.id, at(use.at)))
	}
	used, err := s.Index.Used(t.Context(), TenantA)
	must(t, err)
	same(t, "used", used, map[string]time.Time{"A": at(5)})
	found, err := s.Index.Find(t.Context(), "A")
	must(t, err)
	same(t, "last used", found.LastUsedAt, at(5))
}

var errUndo = errors.New("undo")

func (s suite) whole(t *testing.T) {
	for _, want := range []error{errUndo, nil} {
		err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
			must(t, s.Repository.Insert(tenant.NewContext(ctx, s.A), newKey("A", 0)))
			must(t, s.Index.Insert(ctx, newEntry("A", TenantA)))
			return want
		})
		expectError(t, "transaction", err, want)
		missing := want
		if want != nil {
			missing = apikeys.ErrNotFound
		}
		_, err = s.Repository.ByID(s.ctx, "A")
		expectError(t, "repository", err, missing)
		_, err = s.Index.Find(t.Context(), "A")
		expectError(t, "index", err, missing)
	}
}

func (s suite) apart(t *testing.T) {
	ctxB := tenant.NewContext(t.Context(), s.B)
	s.insert(t, newKey("A", 0))
	_, err := s.Repository.ByID(ctxB, "A")
	expectError(t, "read from B", err, apikeys.ErrNotFound)
	_, err = s.Repository.Delete(ctxB, "A")
	expectError(t, "delete from B", err, apikeys.ErrNotFound)
	if got := s.ids(t, ctxB); len(got) != 0 {
		t.Errorf("B has %q", got)
	}
	must(t, s.Repository.Insert(ctxB, newKey("A", 5)))
	if got := s.ids(t, s.ctx); !slices.Equal(got, []string{"A"}) {
		t.Errorf("A has %q", got)
	}
}

// operations are every method of the repository, on the key "A".
func (s suite) operations() map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"List":   func(ctx context.Context) error { _, err := s.Repository.List(ctx); return err },
		"ByID":   func(ctx context.Context) error { _, err := s.Repository.ByID(ctx, "A"); return err },
		"Insert": func(ctx context.Context) error { return s.Repository.Insert(ctx, newKey("B", 0)) },
		"Delete": func(ctx context.Context) error { _, err := s.Repository.Delete(ctx, "A"); return err },
	}
}

func (s suite) noTenant(t *testing.T) {
	s.insert(t, newKey("A", 0))
	for name, operation := range s.operations() {
		for _, ctx := range []context.Context{t.Context(), tenant.NewContext(s.ctx, tenant.Schema{})} {
			if operation(ctx) == nil {
				t.Errorf("%s works without a tenant", name)
			}
		}
	}
	if got := s.ids(t, s.ctx); !slices.Equal(got, []string{"A"}) {
		t.Errorf("%q", got)
	}
}

func (s suite) cancelled(t *testing.T) {
	s.insert(t, newKey("A", 0))
	must(t, s.Index.Insert(t.Context(), newEntry("A", TenantA)))
	operations := s.operations()
	operations["Index.Find"] = func(ctx context.Context) error { _, err := s.Index.Find(ctx, "A"); return err }
	operations["Index.Insert"] = func(ctx context.Context) error { return s.Index.Insert(ctx, newEntry("B", TenantA)) }
	operations["Index.Delete"] = func(ctx context.Context) error { return s.Index.Delete(ctx, TenantA, "A") }
	operations["Index.Touch"] = func(ctx context.Context) error { return s.Index.Touch(ctx, "A", at(1)) }
	operations["Index.Used"] = func(ctx context.Context) error { _, err := s.Index.Used(ctx, TenantA); return err }
	for name, operation := range operations {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		expectError(t, name, operation(ctx), context.Canceled)
	}
	if got := s.ids(t, s.ctx); !slices.Equal(got, []string{"A"}) {
		t.Errorf("%q", got)
	}
	found, err := s.Index.Find(t.Context(), "A")
	must(t, err)
	same(t, "indexed", found, newEntry("A", TenantA))
}

func (s suite) hostile(t *testing.T) {
	const text = `'); DROP TABLE api_keys; -- ?0 ?? ?name "☃" \ {"a", NULL} %s`
	key := newKey(text, 0)
	key.Name, key.Permissions = text, []identity.Permission{text, `"`, ``, `a,b`, `{}`, `NULL`, `\`}
	s.insert(t, key)
	found, err := s.Repository.ByID(s.ctx, text)
	must(t, err)
	same(t, "found", found, key)
	entry := newEntry(text, TenantA)
	entry.AccountID, entry.Permissions = text, key.Permissions
	must(t, s.Index.Insert(t.Context(), entry))
	indexed, err := s.Index.Find(t.Context(), text)
	must(t, err)
	same(t, "indexed", indexed, entry)
}
