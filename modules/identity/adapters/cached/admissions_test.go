package cached_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/cached"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
)

// TestAChangeThatNobodyHeardOf ends somebody's access when the time that it is kept
// for is over, however busy they are: that they are seen is stored with it.
func TestAChangeThatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ttl = 10 * time.Minute
		admissions := cached.NewAdmissions(100, ttl)
		admissions.Switch(true)
		defer admissions.Stop()
		w := identitytest.NewWorld()
		w.Service.Remember(admissions)
		founded := time.Now()
		joined := identity.Membership{ID: "orgmem_1", OrganizationID: "org_1", AccountID: "user_bob", ProviderRole: "org:member", CreatedAt: founded, UpdatedAt: founded}
		if err := w.Sync.Apply(t.Context(), identity.Observation{
			Accounts:      []identity.Account{{ID: "user_bob", CreatedAt: founded, UpdatedAt: founded}},
			Organizations: []identity.Organization{{ID: "org_1", Name: "Acme", Slug: "acme", CreatedBy: "user_ada", CreatedAt: founded, UpdatedAt: founded}},
			Memberships:   []identity.Membership{joined},
		}); err != nil {
			t.Fatal(err)
		}
		enter := func() error {
			_, _, err := w.Service.Enter(t.Context(), identity.Session{AccountID: "user_bob"}, "acme")
			return err
		}
		if err := enter(); err != nil {
			t.Fatal(err)
		}
		joined.DeletedAt = founded.Add(time.Second)
		if err := w.Sync.Apply(t.Context(), identity.Observation{Memberships: []identity.Membership{joined}}); err != nil {
			t.Fatal(err)
		}
		for minute := range 2 * ttl / time.Minute {
			err := enter()
			if kept := minute < ttl/time.Minute; kept != (err == nil) || !kept && !fault.Is(err, fault.NotFound) {
				t.Errorf("after %d minutes: %v", minute, err)
			}
			time.Sleep(time.Minute)
		}
	})
}
