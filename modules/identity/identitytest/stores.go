package identitytest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Stores are implementations of the module's storing ports that work together:
// empty, with two tenants whose users can be stored.
type Stores struct {
	Directory identity.Directory
	Members   identity.Members
	Inbox     identity.Inbox
	Ledger    identity.Reconciliations
	Tx        identity.Transactor
	A, B      tenant.Schema
}

// run runs each test on stores of its own.
func run(t *testing.T, newStores func(t *testing.T) Stores, tests map[string]func(s Stores, t *testing.T)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newStores(t), t)
		})
	}
}

// at returns a moment n seconds after some moment, as fine as PostgreSQL keeps
// it.
func at(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC).Add(time.Duration(n) * time.Second)
}

var errUndo = errors.New("undo")

// hostile is text that means something to SQL, to Bun or to JSON.
const hostile = `'); DROP TABLE users; -- ?0 ?? ?name "☃" \ {"a": 1} %s`

// same compares by value, times by the moment they mean.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	equal := gocmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := gocmp.Diff(want, got, equal, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sorted returns values by id.
func sorted[T any](values []T, id func(T) string) []T {
	values = slices.Clone(values)
	slices.SortFunc(values, func(a, b T) int { return cmp.Compare(id(a), id(b)) })
	return values
}

func accountID(a identity.Account) string           { return a.ID }
func organizationID(o identity.Organization) string { return o.ID }
func membershipID(m identity.Membership) string     { return m.ID }
func memberID(m identity.Member) string             { return m.ID }

// RunTransactor runs the contract of [identity.Transactor]: a transaction covers
// all of the stores, or none of them.
func RunTransactor(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	run(t, newStores, map[string]func(s Stores, t *testing.T){
		"what succeeds is kept": func(s Stores, t *testing.T) {
			must(t, s.Tx.InSystemTx(t.Context(), s.writeAll))
			s.expectAll(t, true)
		},
		"an error undoes everything": func(s Stores, t *testing.T) {
			err := s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
				must(t, s.writeAll(ctx))
				return errUndo
			})
			if err != errUndo {
				t.Errorf("got %v, want fn's own error", err)
			}
			s.expectAll(t, false)
		},
		"a panic undoes everything and goes on": func(s Stores, t *testing.T) {
			func() {
				defer func() {
					if got := recover(); got != errUndo {
						t.Errorf("recovered %v, want fn's panic", got)
					}
				}()
				_ = s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
					must(t, s.writeAll(ctx))
					panic(errUndo)
				})
			}()
			s.expectAll(t, false)
		},
		"an inner error undoes the inner part": func(s Stores, t *testing.T) {
			kept := identity.Account{ID: "user_kept", CreatedAt: at(0), UpdatedAt: at(0)}
			must(t, s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
				must(t, s.Directory.Put(ctx, identity.Observation{Accounts: []identity.Account{kept}}))
				err := s.Tx.InSystemTx(ctx, func(ctx context.Context) error {
					must(t, s.writeAll(ctx))
					return errUndo
				})
				if err != errUndo {
					t.Errorf("got %v, want the inner error", err)
				}
				return nil
			}))
			s.expectAll(t, false)
			found, err := s.Directory.Accounts(t.Context(), []string{kept.ID})
			must(t, err)
			same(t, "the outer part", found, []identity.Account{kept})
		},
		"a cancelled context changes nothing": func(s Stores, t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Tx.InSystemTx(ctx, s.writeAll); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			s.expectAll(t, false)
		},
	})
}

// writeAll writes something into every store.
func (s Stores) writeAll(ctx context.Context) error {
	_, err := s.Inbox.Add(ctx, identity.InboxEvent{ID: "msg_1", Type: "x", Payload: []byte("{}"), OccurredAt: at(0), ReceivedAt: at(0)})
	return errors.Join(
		s.Directory.Put(ctx, identity.Observation{Accounts: []identity.Account{{ID: "user_1", CreatedAt: at(0), UpdatedAt: at(0)}}}),
		s.Members.Put(tenant.NewContext(ctx, s.A), []identity.Member{newMember("user_1")}),
		s.Members.Put(tenant.NewContext(ctx, s.B), []identity.Member{newMember("user_2")}),
		err,
	)
}

// expectAll checks whether what writeAll writes is there.
func (s Stores) expectAll(t *testing.T, want bool) {
	t.Helper()
	accounts, err := s.Directory.Accounts(t.Context(), []string{"user_1"})
	must(t, err)
	ofA, err := s.Members.All(tenant.NewContext(t.Context(), s.A))
	must(t, err)
	ofB, err := s.Members.All(tenant.NewContext(t.Context(), s.B))
	must(t, err)
	var received bool
	must(t, s.Tx.InSystemTx(t.Context(), func(ctx context.Context) error {
		_, received, err = s.Inbox.Next(ctx, at(1))
		return err
	}))
	for what, got := range map[string]bool{
		"account": len(accounts) == 1, "member of A": len(ofA) == 1, "member of B": len(ofB) == 1, "event": received,
	} {
		if got != want {
			t.Errorf("the %s is there: %v, want %v", what, got, want)
		}
	}
}
