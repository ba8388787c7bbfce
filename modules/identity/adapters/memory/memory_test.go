package memory_test

import (
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

func newStores(*testing.T) identitytest.Stores {
	directory, members, inbox := memory.NewDirectory(), memory.NewMembers(), memory.NewInbox()
	return identitytest.Stores{
		Directory: directory, Members: members, Inbox: inbox, Tx: memtx.New(directory, members, inbox),
		Ledger: memory.NewReconciliations(),
		A:      tenant.MustParse("tenant_a"), B: tenant.MustParse("tenant_b"),
	}
}

func TestDirectory(t *testing.T)       { t.Parallel(); identitytest.RunDirectory(t, newStores) }
func TestMembers(t *testing.T)         { t.Parallel(); identitytest.RunMembers(t, newStores) }
func TestInbox(t *testing.T)           { t.Parallel(); identitytest.RunInbox(t, newStores) }
func TestReconciliations(t *testing.T) { t.Parallel(); identitytest.RunReconciliations(t, newStores) }
func TestTransactor(t *testing.T)      { t.Parallel(); identitytest.RunTransactor(t, newStores) }

func TestProvider(t *testing.T) {
	t.Parallel()
	identitytest.RunProvider(t, func(t *testing.T) identitytest.ProviderWorld {
		w := identitytest.ProviderWorld{
			OrganizationID: "org_1",
			Admin:          identitytest.ProviderAccount{ID: "user_1", Email: "ada@example.com"},
			Member:         identitytest.ProviderAccount{ID: "user_2", Email: "bob@example.com"},
			Other:          identitytest.ProviderAccount{ID: "user_3", Email: "eve@example.com"},
		}
		at := time.Now().Add(-time.Hour)
		provider := memory.NewProvider()
		o := identity.Observation{
			Organizations: []identity.Organization{{ID: "org_1", Name: "Acme", Slug: "acme", CreatedBy: "user_1", CreatedAt: at, UpdatedAt: at}},
			Memberships: []identity.Membership{
				{ID: "orgmem_1", OrganizationID: "org_1", AccountID: "user_1", ProviderRole: "org:admin", CreatedAt: at, UpdatedAt: at},
				{ID: "orgmem_2", OrganizationID: "org_1", AccountID: "user_2", ProviderRole: "org:member", CreatedAt: at, UpdatedAt: at},
			},
		}
		for _, account := range []identitytest.ProviderAccount{w.Admin, w.Member, w.Other} {
			o.Accounts = append(o.Accounts, identity.Account{ID: account.ID, Email: account.Email, CreatedAt: at, UpdatedAt: at})
		}
		if err := provider.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.Provider = provider
		w.Bar = func(_ *testing.T, id string) { provider.Bar(id) }
		return w
	})
}
