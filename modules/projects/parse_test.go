package projects_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/memory"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

func FuzzParseSlug(f *testing.F) {
	for _, seed := range []string{"", "a", "a-b", "-", "A", "new", "ä", "a\n", strings.Repeat("a", 64), "%2e%2e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		slug, err := projects.ParseSlug(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !slug.IsZero() {
				t.Errorf("%q: %v, %v", text, slug, err)
			}
			return
		}
		if slug.String() != text || text == "" || len(text) > projects.MaxSlugLength || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q was taken for the slug %q", text, slug)
		}
	})
}

// FuzzCreate holds that any name at all either makes a project with a slug that
// leads to it, or is refused as invalid.
func FuzzCreate(f *testing.F) {
	for _, seed := range []string{"", "Apollo", "项目", "new", "a\x00", "\xff", "\u200b", "\u202e", strings.Repeat("é", 121), "ﬀ", "İ", "K"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ctx := tenant.NewContext(t.Context(), tenant.MustParse("tenant_a"))
		service := projects.NewService(memory.NewRepository())
		for range 2 {
			project, err := service.Create(ctx, ada, projects.Draft{Name: name, Description: name})
			if err != nil {
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("%q: %v", name, err)
				}
				return
			}
			if found, err := service.Get(ctx, ada, project.Slug.String()); err != nil || found != project {
				t.Errorf("%q: %+v, %v", name, found, err)
			}
			if _, err := service.Update(ctx, ada, project.Slug.String(), nil, projects.Change{Name: &project.Name}); err != nil {
				t.Errorf("%q: a stored name is refused: %v", name, err)
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	p := projects.Project{ID: 7, Name: "Äpollo", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901999, time.UTC), UpdatedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)}
	for _, order := range projects.Orders() {
		f.Add(projects.CursorAt(p, order).String())
	}
	for _, seed := range []string{"", "AAAA", strings.Repeat("A", 22), strings.Repeat("_", 22), strings.Repeat("=", 22), strings.Repeat("A", 1000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := projects.ParseCursor(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !cursor.IsZero() {
				t.Errorf("%q: %v, %v", text, cursor, err)
			}
			return
		}
		if cursor.String() != text {
			t.Errorf("%q comes back as %q", text, cursor)
		}
		at, id := cursor.Time()
		name, _ := cursor.Name()
		if text != "" && (id < 1 || name == "" && (at.Year() < 1970 || at.Year() > 9999) || name != "" && !at.IsZero()) {
			t.Errorf("%q points at %v, %q, %d", text, at, name, id)
		}
	})
}

func TestCursorKeepsItsPlace(t *testing.T) {
	t.Parallel()
	p := projects.Project{
		ID: 7, Name: strings.Repeat("界", projects.MaxNameLength),
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.FixedZone("", 3600)), UpdatedAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	}
	for _, order := range projects.Orders() {
		want := projects.CursorAt(p, order)
		if got, err := projects.ParseCursor(want.String()); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", order, got, err, want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	p := projects.Project{ID: 7, UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901999, time.UTC)}
	for _, seed := range []string{projects.VersionOf(p).String(), "", "-", "1-", "0-0", "1--1", "01-1", "1-zzzzzzzzzzzzz", "A-B", "1-1-1", "+1-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		version, ok := projects.ParseVersion(text)
		if !ok {
			if version != (projects.Version{}) {
				t.Errorf("%q: %v", text, version)
			}
			return
		}
		if id, at := version.Position(); version.String() != text || id < 1 || at.Year() < 1970 || at.Year() > 9999 {
			t.Errorf("%q: %v", text, version)
		}
	})
}
