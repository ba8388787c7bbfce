package projects_test

import (
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/platform/fault"
)

func TestCreateOnce(t *testing.T) {
	t.Parallel()
	ctx, service := newService(t)
	first, err := service.CreateOnce(ctx, ada, " Move in ")
	if err != nil || first.Name != "Move in" || first.Slug.String() != "move-in" || first.CreatedBy != ada.AccountID {
		t.Fatalf("got %+v, %v", first, err)
	}
	if again, err := service.CreateOnce(ctx, ada, "Move in"); err != nil || again != first {
		t.Errorf("once more: %+v, %v", again, err)
	}
	// Somebody else's, and one of another name at the same address, are others.
	if theirs, err := service.CreateOnce(ctx, bob, "Move in"); err != nil || theirs.Slug.String() != "move-in-2" {
		t.Errorf("somebody else's: %+v, %v", theirs, err)
	}
	if other, err := service.CreateOnce(ctx, ada, "Move in!"); err != nil || other.Slug.String() != "move-in-3" {
		t.Errorf("another: %+v, %v", other, err)
	}
	_, err = service.CreateOnce(ctx, viewer, "Mine")
	expect(t, "a viewer", err, identity.ErrForbidden)
	for _, name := range []string{"", strings.Repeat("x", projects.MaxNameLength+1), "a\u202eb"} {
		if _, err := service.CreateOnce(ctx, ada, name); !fault.Is(err, fault.Invalid) || projects.CheckName(name) == nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := projects.CheckName("Fine"); err != nil {
		t.Error(err)
	}
}
