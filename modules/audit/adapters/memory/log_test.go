package memory_test

import (
	"testing"

	"github.com/tenonhq/tenon/modules/audit/adapters/memory"
	"github.com/tenonhq/tenon/modules/audit/audittest"
	"github.com/tenonhq/tenon/platform/tenant"
)

func TestLog(t *testing.T) {
	t.Parallel()
	audittest.Run(t, func(*testing.T) audittest.Fixture {
		return audittest.Fixture{Log: memory.NewLog(), A: tenant.MustParse("tenant_a"), B: tenant.MustParse("tenant_b")}
	})
}
