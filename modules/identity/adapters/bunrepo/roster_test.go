package bunrepo_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	auditmemory "github.com/tenonhq/tenon/modules/audit/adapters/memory"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
)

// TestAnOwnerStays has owners in two processes who remove, demote and hand over
// to each other at once, while webhooks say the same again: somebody is in charge
// in the end, and nothing deadlocks.
func TestAnOwnerStays(t *testing.T) {
	t.Parallel()
	db := databasetest.New(t)
	use, tenants, members := newSync(t, db)
	directory, provider := bunrepo.NewDirectory(db), memory.NewProvider()
	service := identity.NewService(tenants, directory, members, provider, use, slog.New(slog.DiscardHandler))
	rosters := []*identity.Roster{
		identity.NewRoster(db, directory, members, provider, use, auditmemory.NewLog()),
		identity.NewRoster(db, directory, members, provider, use, auditmemory.NewLog()),
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	people := []string{"user_a", "user_b", "user_c"}
	for round := range 5 {
		id, slug := fmt.Sprint("org_", round), fmt.Sprint("acme-", round)
		o := identity.Observation{Organizations: []identity.Organization{{ID: id, Name: "Acme", Slug: slug, CreatedBy: people[0], CreatedAt: at, UpdatedAt: at}}}
		for n, person := range people {
			o.Accounts = append(o.Accounts, identity.Account{ID: person, Email: person + "@example.com", CreatedAt: at, UpdatedAt: at})
			o.Memberships = append(o.Memberships, identity.Membership{
				ID: fmt.Sprint("orgmem_", round, "_", n), OrganizationID: id, AccountID: person, ProviderRole: "org:admin", CreatedAt: at, UpdatedAt: at,
			})
		}
		if err := provider.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := use.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		ctx, founder, err := service.Enter(t.Context(), identity.Session{AccountID: people[0]}, slug)
		if err != nil {
			t.Fatal(err)
		}
		for _, person := range people[1:] {
			if _, err := rosters[0].ChangeRole(ctx, founder, person, "owner"); err != nil {
				t.Fatal(err)
			}
		}
		accesses := make([]identity.Access, len(people))
		for n, person := range people {
			if _, accesses[n], err = service.Enter(t.Context(), identity.Session{AccountID: person}, slug); err != nil {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		report := func(err error) {
			switch fault.KindOf(err) {
			case fault.Internal, fault.Unavailable, fault.Canceled:
				if err != nil {
					t.Error(err)
				}
			}
		}
		for n, access := range accesses {
			other := people[(n+1)%len(people)]
			roster := rosters[n%len(rosters)]
			group.Go(func() { report(roster.Remove(ctx, access, other)) })
			group.Go(func() { _, err := roster.ChangeRole(ctx, access, access.Member.ID, "member"); report(err) })
			group.Go(func() { _, err := roster.Transfer(ctx, access, other); report(err) })
			group.Go(func() { report(roster.Remove(ctx, access, access.Member.ID)) })
			group.Go(func() { report(use.Apply(t.Context(), o)) })
		}
		group.Wait()
		left, err := members.All(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, member := range left {
			if member.IsActive {
				line = append(line, member.ID+":"+string(member.Role))
			}
		}
		if !strings.Contains(strings.Join(line, " "), ":owner") {
			t.Errorf("nobody is in charge: %v", line)
		}
	}
}
