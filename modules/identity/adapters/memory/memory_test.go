package memory_test

import (
	"testing"

	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

func newStores(*testing.T) identitytest.Stores {
	directory, members, inbox := memory.NewDirectory(), memory.NewMembers(), memory.NewInbox()
	return identitytest.Stores{
		Directory: directory, Members: members, Inbox: inbox, Tx: memtx.New(directory, members, inbox),
		A: tenant.MustParse("tenant_a"), B: tenant.MustParse("tenant_b"),
	}
}

func TestDirectory(t *testing.T)  { t.Parallel(); identitytest.RunDirectory(t, newStores) }
func TestMembers(t *testing.T)    { t.Parallel(); identitytest.RunMembers(t, newStores) }
func TestInbox(t *testing.T)      { t.Parallel(); identitytest.RunInbox(t, newStores) }
func TestTransactor(t *testing.T) { t.Parallel(); identitytest.RunTransactor(t, newStores) }
