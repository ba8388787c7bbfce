package bunrepo_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenonhq/tenon/migrations"
	"github.com/tenonhq/tenon/modules/projects"
	"github.com/tenonhq/tenon/modules/projects/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/projects/projectstest"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// users are those that [projectstest.Fixture] asks for.
const users = `INSERT INTO users (id, role) VALUES ('` + projectstest.Ada + `', 'member'), ('` + projectstest.Bob + `', 'member');`

var tenants atomic.Int64

// newDB returns a database with the tables and functions that all tenants share.
func newDB(t testing.TB) *database.DB {
	t.Helper()
	db := databasetest.New(t)
	if _, err := db.Registry().ExecContext(t.Context(), migrations.PublicSchema); err != nil {
		t.Fatal(err)
	}
	return db
}

// newTenant creates a schema with the tables that the product has.
func newTenant(t testing.TB, db *database.DB) tenant.Schema {
	t.Helper()
	schema := tenant.MustParse(fmt.Sprintf("tenant_%d", tenants.Add(1)))
	databasetest.CreateTenant(t, db, schema, migrations.TenantSchema+users)
	return schema
}

func TestRepository(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	projectstest.RunRepository(t, func(t *testing.T) projectstest.Fixture {
		return projectstest.Fixture{Repository: bunrepo.NewRepository(db), A: newTenant(t, db), B: newTenant(t, db)}
	})
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	databasetest.RunIsolation(t, func(t *testing.T) databasetest.Isolation {
		db := newDB(t)
		repository := bunrepo.NewRepository(db)
		everything := projects.Scope{All: true}
		return databasetest.Isolation{
			DB: db, A: newTenant(t, db), B: newTenant(t, db),
			Write: func(ctx context.Context, marker string) error {
				_, err := repository.Insert(ctx, projectstest.NewProject(marker))
				return err
			},
			Read: func(ctx context.Context, marker string) (bool, error) {
				_, err := repository.BySlug(ctx, everything, projects.MustParseSlug(marker))
				if fault.Is(err, fault.NotFound) {
					return false, nil
				}
				return err == nil, err
			},
			List: func(ctx context.Context) ([]string, error) {
				list, err := repository.List(ctx, everything, projects.Listing{Limit: 1 << 20})
				return projectstest.Slugs(list), err
			},
		}
	})
}

// TestAConflictLeavesTheTransactionWhole is what deriving slugs inside of
// somebody's transaction rests on.
func TestAConflictLeavesTheTransactionWhole(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	service := projects.NewService(bunrepo.NewRepository(db))
	ctx := tenant.NewContext(t.Context(), newTenant(t, db))
	ada := projectstest.Actor(projectstest.Ada, "member")
	err := db.InTenantTx(ctx, func(ctx context.Context) error {
		for _, want := range []string{"apollo", "apollo-2", "apollo-3"} {
			project, err := service.Create(ctx, ada, projects.Draft{Name: "Apollo"})
			if err != nil {
				return err
			}
			if project.Slug.String() != want {
				t.Errorf("slug %q, want %q", project.Slug, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyAtOnceGetSlugsOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	service := projects.NewService(bunrepo.NewRepository(db))
	ctx := tenant.NewContext(t.Context(), newTenant(t, db))
	ada := projectstest.Actor(projectstest.Ada, "member")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			// The unique index sees to it that no two are the same.
			if _, err := service.Create(ctx, ada, projects.Draft{Name: "Apollo"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestProjectsOfOneMomentArePaged makes projects in one transaction, which gives
// all of them the same time.
func TestProjectsOfOneMomentArePaged(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	repository := bunrepo.NewRepository(db)
	ctx := tenant.NewContext(t.Context(), newTenant(t, db))
	var want []string
	if err := db.InTenantTx(ctx, func(ctx context.Context) error {
		// Without the index the order is the statement's own.
		if _, err := db.Tenants().ExecContext(ctx, "DROP INDEX projects_created_at_idx"); err != nil {
			return err
		}
		for i := range 9 {
			p, err := repository.Insert(ctx, projectstest.NewProject(fmt.Sprintf("p%d", i)))
			if err != nil {
				return err
			}
			want = append([]string{p.Slug.String()}, want...)
		}
		// A row that is written again moves to the end of the table.
		_, err := repository.Update(ctx, projects.Scope{All: true}, projects.MustParseSlug("p3"), nil, projects.Edits{Name: new("x")})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	listing := projects.Listing{Limit: 2}
	for range 5 {
		page, err := repository.List(ctx, projects.Scope{All: true}, listing)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, projectstest.Slugs(page)...)
		listing.After = projects.CursorAt(page[len(page)-1], listing.Order)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold %q, want %q", got, want)
	}
}

// BenchmarkList reads the first page of 1,000 projects as a member sees it.
func BenchmarkList(b *testing.B) {
	db := newDB(b)
	service := projects.NewService(bunrepo.NewRepository(db))
	ctx := tenant.NewContext(b.Context(), newTenant(b, db))
	ada := projectstest.Actor(projectstest.Ada, "member")
	for i := range 1000 {
		if _, err := service.Create(ctx, ada, projects.Draft{Name: fmt.Sprintf("Project %d", i)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := service.List(ctx, ada, projects.Listing{})
		if err != nil || len(page.Projects) != projects.DefaultLimit {
			b.Fatalf("%d projects, %v", len(page.Projects), err)
		}
	}
}
