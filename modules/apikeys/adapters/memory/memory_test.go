package memory_test

import (
	"testing"

	"github.com/tenonhq/tenon/modules/apikeys/adapters/memory"
	"github.com/tenonhq/tenon/modules/apikeys/apikeystest"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

func TestStores(t *testing.T) {
	t.Parallel()
	apikeystest.Run(t, func(*testing.T) apikeystest.Stores {
		repository, index := memory.NewRepository(), memory.NewIndex()
		return apikeystest.Stores{
			Repository: repository, Index: index, Tx: memtx.New(repository, index),
			A: tenant.MustParse("tenant_a"), B: tenant.MustParse("tenant_b"),
		}
	})
}
