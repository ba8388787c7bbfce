package bunrepo_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

var benchTenants = flag.Int("bench-tenants", 100, "how many tenants BenchmarkEvents and BenchmarkReconcile spread over")

func benchOrganization(n int) identity.Observation {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	id, account := fmt.Sprintf("org_%06d", n), fmt.Sprintf("user_%06d", n)
	return identity.Observation{
		Accounts:      []identity.Account{{ID: account, Email: account + "@example.com", CreatedAt: at, UpdatedAt: at}},
		Organizations: []identity.Organization{{ID: id, Name: id, Slug: fmt.Sprintf("bench-%06d", n), CreatedBy: account, CreatedAt: at, UpdatedAt: at}},
		Memberships:   []identity.Membership{{ID: fmt.Sprintf("orgmem_%06d", n), OrganizationID: id, AccountID: account, ProviderRole: "org:admin", CreatedAt: at, UpdatedAt: at}},
	}
}

// BenchmarkEvents applies one renaming an iteration, from the inbox to the row of a
// member, into one tenant and spread over many.
func BenchmarkEvents(b *testing.B) {
	for _, tenants := range []int{1, *benchTenants} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			db := databasetest.Open(b, localpgtest.NewDatabase(b))
			use, _, _ := newSync(b, db)
			for n := range tenants {
				if err := use.Apply(b.Context(), benchOrganization(n)); err != nil {
					b.Fatal(err)
				}
			}
			inbox := bunrepo.NewInbox(db)
			worker := identity.NewWorker(inbox, db, use, func(_ string, payload []byte) (o identity.Observation, err error) {
				return o, json.Unmarshal(payload, &o)
			}, slog.New(slog.DiscardHandler))
			for n := range b.N {
				account := benchOrganization(n % tenants).Accounts[0]
				account.FirstName, account.UpdatedAt = fmt.Sprintf("Renamed %d", n), account.UpdatedAt.Add(time.Duration(n+1)*time.Second)
				payload, err := json.Marshal(identity.Observation{Accounts: []identity.Account{account}})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := inbox.Add(b.Context(), identity.InboxEvent{ID: fmt.Sprintf("msg_%d", n), Type: "user.updated", Payload: payload, OccurredAt: account.UpdatedAt, ReceivedAt: account.UpdatedAt}); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for done := 0; done < b.N; {
				n, err := worker.Drain(b.Context())
				if err != nil || n == 0 {
					b.Fatalf("%d of %d applied: %v", done, b.N, err)
				}
				done += n
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReconcile walks organizations in which nothing has drifted.
func BenchmarkReconcile(b *testing.B) {
	db := databasetest.Open(b, localpgtest.NewDatabase(b))
	use, _, _ := newSync(b, db)
	provider := memory.NewProvider()
	for n := range *benchTenants {
		if err := use.Apply(b.Context(), benchOrganization(n)); err != nil {
			b.Fatal(err)
		}
		if err := provider.Put(b.Context(), benchOrganization(n)); err != nil {
			b.Fatal(err)
		}
	}
	directory, ledger := bunrepo.NewDirectory(db), bunrepo.NewReconciliations(db)
	b.ResetTimer()
	for n := range b.N {
		reconciler := identity.NewReconciler(directory, provider, use, ledger, fmt.Sprint(n), slog.New(slog.DiscardHandler))
		if _, err := reconciler.All(b.Context(), identity.ReconcileOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N**benchTenants)/b.Elapsed().Seconds(), "organizations/s")
}
