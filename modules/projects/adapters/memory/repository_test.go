package memory_test

import (
	"testing"

	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/tenant"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	projectstest.RunRepository(t, func(*testing.T) projectstest.Fixture {
		return projectstest.Fixture{
			Repository: memory.NewRepository(), A: tenant.MustParse("tenant_a"), B: tenant.MustParse("tenant_b"),
		}
	})
}
