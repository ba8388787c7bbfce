package memory_test

import (
	"testing"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/modules/tenancy/adapters/memory"
	"github.com/tenonhq/tenon/modules/tenancy/tenancytest"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	tenancytest.RunRegistry(t, func(*testing.T) tenancy.Registry { return memory.NewRegistry() })
}
