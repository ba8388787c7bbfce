package database_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

const ddl = `
CREATE TABLE users (id text PRIMARY KEY, email text NOT NULL);
CREATE TABLE projects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slug text NOT NULL CONSTRAINT projects_slug_key UNIQUE,
	created_by text NOT NULL CONSTRAINT projects_created_by_fkey REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO users VALUES ('user_1', 'one@example.com'), ('user_2', 'two@example.com');`

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID       string        `bun:"id,pk"`
	Email    string        `bun:"email"`
	Projects []*projectRow `bun:"rel:has-many,join:id=created_by"`
}

type projectRow struct {
	bun.BaseModel `bun:"table:projects"`

	ID        int64    `bun:"id,pk,autoincrement"`
	Slug      string   `bun:"slug"`
	CreatedBy string   `bun:"created_by"`
	Creator   *userRow `bun:"rel:belongs-to,join:created_by=id"`
}

// routes make a database and say how it is reached: directly, or through PgBouncer in
// transaction mode.
var routes = map[string]func(t testing.TB) string{
	"direct":    localpgtest.NewDatabase,
	"pgbouncer": func(t testing.TB) string { return localpgtest.NewPgBouncer(t, localpgtest.NewDatabase(t)) },
}

// eachRoute runs test on a database of its own by each route.
func eachRoute(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for route, newURL := range routes {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			test(t, newURL(t))
		})
	}
}

// The names hold what SQL could stumble over and tenant.Parse lets through.
var (
	tenantA = tenant.MustParse("tenant_select")
	tenantB = tenant.MustParse("tenant__" + strings.Repeat("0", 55))
)

func openTenants(t *testing.T, url string) *database.DB {
	t.Helper()
	return createTenants(t, databasetest.Open(t, url), url)
}

func createTenants(t *testing.T, db *database.DB, url string) *database.DB {
	t.Helper()
	databasetest.CreateTenant(t, db, tenantA, ddl)
	databasetest.CreateTenant(t, db, tenantB, ddl)
	t.Cleanup(func() { checkSearchPaths(t, db, url) })
	return db
}

// checkSearchPaths asks the pool's connections, and then, by connections that
// are not the pool's, the server connections that PgBouncer would hand to
// anybody.
func checkSearchPaths(t *testing.T, db *database.DB, url string) {
	t.Helper()
	const untouched = `"$user", public none`
	ctx := context.Background()
	paths, err := database.SearchPaths(ctx, db)
	if err != nil {
		t.Errorf("ask the pool for its paths: %v", err)
	}
	for range databasetest.MaxOpenConns {
		stranger, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close(ctx)
		if _, err := stranger.Exec(ctx, "BEGIN", pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		var path string
		if err := stranger.QueryRow(ctx, "SELECT current_setting('search_path') || ' ' || current_setting('role')", pgx.QueryExecModeSimpleProtocol).Scan(&path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		if path != untouched {
			t.Errorf("a connection kept the path and role %q", path)
		}
	}
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	repositories := map[string]func(db *database.DB) databasetest.Isolation{
		"models": func(db *database.DB) databasetest.Isolation {
			tenants := db.Tenants()
			return databasetest.Isolation{
				Write: func(ctx context.Context, marker string) error {
					_, err := tenants.NewInsert().Model(&projectRow{Slug: marker, CreatedBy: "user_1"}).Exec(ctx)
					return err
				},
				Read: func(ctx context.Context, marker string) (bool, error) {
					err := tenants.NewSelect().Model(new(projectRow)).Relation("Creator").Where("slug = ?", marker).Scan(ctx)
					if errors.Is(err, sql.ErrNoRows) {
						return false, nil
					}
					return err == nil, err
				},
				List: func(ctx context.Context) (slugs []string, err error) {
					var users []*userRow
					err = tenants.NewSelect().Model(&users).Relation("Projects").Scan(ctx)
					for _, user := range users {
						for _, project := range user.Projects {
							slugs = append(slugs, project.Slug)
						}
					}
					return slugs, err
				},
			}
		},
		"raw SQL": func(db *database.DB) databasetest.Isolation {
			tenants := db.Tenants()
			return databasetest.Isolation{
				Write: func(ctx context.Context, marker string) error {
					return tenants.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
						_, err := tx.ExecContext(ctx, "SELECT 1; INSERT INTO projects (slug, created_by) VALUES (?, 'user_2')", marker)
						return err
					})
				},
				Read: func(ctx context.Context, marker string) (found bool, err error) {
					err = tenants.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM projects WHERE slug = ?)", marker).Scan(&found)
					return found, err
				},
				List: func(ctx context.Context) (slugs []string, err error) {
					err = tenants.NewRaw("SELECT p.slug FROM projects AS p JOIN users AS u ON u.id = p.created_by").Scan(ctx, &slugs)
					return slugs, err
				},
			}
		},
	}
	for name, repository := range repositories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for route, newURL := range routes {
				t.Run(route, func(t *testing.T) {
					t.Parallel()
					databasetest.RunIsolation(t, func(t *testing.T) databasetest.Isolation {
						db := openTenants(t, newURL(t))
						isolation := repository(db)
						isolation.DB, isolation.A, isolation.B = db, tenantA, tenantB
						return isolation
					})
				})
			}
		})
	}
}
