package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Roles says which tenants get a database role of their own: one that may read and
// write the tables of its tenant's schema and nothing else, and as which the
// tenant's statements run ([database.DB.UseRoles]).
type Roles string

// The values of [Roles].
const (
	RolesOff  Roles = "off"
	RolesOn   Roles = "on"
	RolesAuto Roles = "auto" // where the server lets the login make roles, and has not too many of them
)

// WithRoles says which tenants get a role; without it, none does.
func WithRoles(roles Roles) Option { return func(e *Engine) { e.roles = roles } }

// WithReadOnly names tables of a tenant's schema that its role may read and not write.
func WithReadOnly(tables ...string) Option { return func(e *Engine) { e.readOnly = tables } }

// A role that is made, and one that is dropped, makes each connection build the list
// of the login's roles anew before its next statement. The time for that was
// measured (decision 0008): at these numbers it stays below a tenth of a second.
// Before PostgreSQL 17 it grows with the square of the number.
var affordableRoles = []struct{ version, roles int }{{170000, 10_000}, {160000, 5_000}, {0, 2_500}}

// withSetOption is the version since which a membership says what it is good for.
const withSetOption = 160000

const codeDependentObjects = "2BP01"

// RolesReport is what there is of the tenants' roles.
type RolesReport struct {
	// Database is the database's name, Login the role that is logged in.
	Database, Login string
	// ServerVersion is PostgreSQL's version as a number, such as 150004.
	ServerVersion int
	// Superuser says that the login is one: nothing confines what it does in its own
	// name. CanCreate says that it may make roles.
	Superuser, CanCreate bool
	// Tenants is how many there are, Missing how many of them have no role. One that
	// is being purged, whose role has gone before it, is not missing it.
	Tenants, Missing int
}

// affordable is the number of roles that this server bears well.
func (r RolesReport) affordable() int {
	for _, since := range affordableRoles {
		if r.ServerVersion >= since.version {
			return since.roles
		}
	}
	return 0
}

// Use reports whether statements are to be run by tenants' roles, and why if not.
// For [RolesOn] that does not depend on what there is.
func (r RolesReport) Use(roles Roles) (use bool, reason string) {
	switch {
	case roles == RolesOn:
		return true, ""
	case roles != RolesAuto:
		return false, "it is switched off"
	case !r.CanCreate:
		return false, fmt.Sprintf("the login %s may not make roles (ALTER ROLE %s CREATEROLE)", r.Login, r.Login)
	case r.Missing > 0:
		return false, fmt.Sprintf("%d of %d tenants have no role (tenon tenants roles create)", r.Missing, r.Tenants)
	case r.Tenants > r.affordable():
		return false, fmt.Sprintf("PostgreSQL %d slows down with more than %d roles, and there are %d tenants", r.ServerVersion/10000, r.affordable(), r.Tenants)
	}
	return true, ""
}

// gives reports whether a tenant that is made gets a role. Under [RolesAuto] that
// goes on for long after roles have ceased to be used by whoever starts anew: others
// use them until they start anew as well.
func (r RolesReport) gives(roles Roles) bool {
	return roles == RolesOn || roles == RolesAuto && r.CanCreate && r.Tenants <= 2*r.affordable()
}

// Roles reports what there is of the tenants' roles. Public has to be migrated.
func (e *Engine) Roles(ctx context.Context) (report RolesReport, err error) {
	if report, err = e.server(ctx); err != nil {
		return report, err
	}
	err = e.db.Registry().QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE r.oid IS NULL AND NOT `+purgingOf("t")+`)
		FROM tenants t LEFT JOIN pg_roles r ON r.rolname = `+database.RoleNameSQL(report.Database, "t.schema_name")).Scan(&report.Tenants, &report.Missing)
	return report, fault.Wrap("count roles", database.Classify(err))
}

// server reports who is logged in where.
func (e *Engine) server(ctx context.Context) (report RolesReport, err error) {
	err = e.db.Registry().QueryRowContext(ctx, `SELECT current_database(), rolname, current_setting('server_version_num')::int, rolsuper, rolsuper OR rolcreaterole
		FROM pg_roles WHERE rolname = current_user`).Scan(&report.Database, &report.Login, &report.ServerVersion, &report.Superuser, &report.CanCreate)
	return report, fault.Wrap("ask for the login's rights", database.Classify(err))
}

// role is a tenant's role; the zero value stands for none.
type role struct {
	name, schema string
	exists       bool
	version      int // the server's
}

// roleFor returns the role that a schema about to be made gets, none if it gets none.
func (e *Engine) roleFor(ctx context.Context, schema tenant.Schema) (role, error) {
	if e.roles != RolesOn && e.roles != RolesAuto {
		return role{}, nil
	}
	report, err := e.server(ctx)
	if err == nil && e.roles == RolesAuto {
		err = database.Classify(e.db.Registry().QueryRowContext(ctx, `SELECT count(*) FROM tenants`).Scan(&report.Tenants))
	}
	if err != nil || !report.gives(e.roles) {
		return role{}, err
	}
	r := role{name: database.RoleName(report.Database, schema), schema: schema.String(), version: report.ServerVersion}
	// One of a database of this name that was dropped, with the same tenant in it.
	err = e.db.Registry().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = ?)`, r.name).Scan(&r.exists)
	return r, database.Classify(err)
}

// defaults make the role, and give it what is made in the schema from here on.
// Names of roles and schemas need no escaping.
func (r role) defaults() []string {
	if r.name == "" {
		return nil
	}
	quoted, within := `"`+r.name+`"`, `"`+r.schema+`"`
	var statements []string
	if !r.exists {
		statements = append(statements, "CREATE ROLE "+quoted)
	}
	grant := "GRANT " + quoted + " TO CURRENT_USER"
	if r.version >= withSetOption {
		// The login takes the role on and has none of its rights otherwise.
		grant += " WITH SET TRUE, INHERIT FALSE"
	}
	return append(statements, grant,
		"GRANT USAGE ON SCHEMA "+within+" TO "+quoted,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA "+within+" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "+quoted,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA "+within+" GRANT SELECT, USAGE ON SEQUENCES TO "+quoted)
}

// existing give the role what is in the schema already.
func (r role) existing() []string {
	quoted, within := `"`+r.name+`"`, `"`+r.schema+`"`
	return []string{
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + within + " TO " + quoted,
		"GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA " + within + " TO " + quoted,
	}
}

// restrictions take back what a role has no business to do.
func (r role) restrictions(readOnly []string) []string {
	if r.name == "" {
		return nil
	}
	return append([]string{`REVOKE ALL ON "` + r.schema + `"._migrations FROM "` + r.name + `"`}, protect(r.name, r.schema, readOnly)...)
}

// protect makes those of the tables that exist read-only for a role, if that
// exists.
func protect(role, schema string, tables []string) []string {
	if len(tables) == 0 {
		return nil
	}
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = literal(table)
	}
	return []string{`DO $protect$ DECLARE relation name; BEGIN
FOR relation IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r
  WHERE n.nspname = ` + literal(schema) + ` AND c.relname IN (` + strings.Join(names, ", ") + `) AND c.relkind IN ('r', 'p') AND r.rolname = ` + literal(role) + ` LOOP
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I.%I FROM %I', ` + literal(schema) + `, relation, ` + literal(role) + `);
END LOOP; END $protect$`}
}

var createTable = regexp.MustCompile(`(?is)^` + blank + `*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?` + identifier)

// protection is what follows when statements create read-only tables in a schema
// whose role is given everything by default. database is asked only then.
func (e *Engine) protection(ctx context.Context, schema tenant.Schema, statements []string) ([]string, error) {
	creates := slices.ContainsFunc(statements, func(statement string) bool {
		match := createTable.FindStringSubmatch(statement)
		return match != nil && slices.Contains(e.readOnly, unquote(match[1]))
	})
	if !creates {
		return nil, nil
	}
	report, err := e.server(ctx)
	return protect(database.RoleName(report.Database, schema), schema.String(), e.readOnly), err
}

// rolesBatch is how many roles are made in one transaction.
const rolesBatch = 20

// RolesOptions are whose roles are made.
type RolesOptions struct {
	// Repair gives those their rights again that have a role already, as after a
	// tenant was restored from a backup.
	Repair bool
	// Observe is told how far the work is; may be nil.
	Observe func(Progress)
}

// RolesResult is what was made.
type RolesResult struct {
	// Done are how many tenants have a role now that had none, or were repaired.
	Done int
	// Failures are the tenants that have none.
	Failures []Failure
}

// CreateRoles gives each tenant a role that has none. What an interrupted call did
// stays, and the next goes on behind it. Errors: [fault.Conflict] when the login
// may not make roles.
func (e *Engine) CreateRoles(ctx context.Context, options RolesOptions) (result RolesResult, err error) {
	return e.eachRole(ctx, options, func(ctx context.Context, r role) error {
		return e.send(ctx, e.db.Owner(), slices.Concat([]string{lock(tenant.MustParse(r.schema))}, r.defaults(), r.existing(), r.restrictions(e.readOnly)))
	})
}

// DropRoles takes the roles of all tenants away. Statements must not be run by them
// any more.
func (e *Engine) DropRoles(ctx context.Context, observe func(Progress)) (result RolesResult, err error) {
	return e.eachRole(ctx, RolesOptions{Repair: true, Observe: observe}, func(ctx context.Context, r role) error {
		if !r.exists {
			return nil
		}
		quoted, within := `"`+r.name+`"`, `"`+r.schema+`"`
		return e.send(ctx, e.db.Owner(), []string{
			lock(tenant.MustParse(r.schema)),
			"ALTER DEFAULT PRIVILEGES IN SCHEMA " + within + " REVOKE ALL ON TABLES FROM " + quoted,
			"ALTER DEFAULT PRIVILEGES IN SCHEMA " + within + " REVOKE ALL ON SEQUENCES FROM " + quoted,
			"REVOKE ALL ON ALL TABLES IN SCHEMA " + within + " FROM " + quoted,
			"REVOKE ALL ON ALL SEQUENCES IN SCHEMA " + within + " FROM " + quoted,
			"REVOKE ALL ON SCHEMA " + within + " FROM " + quoted,
			"DROP ROLE " + quoted,
		})
	})
}

// eachRole does work for the tenants that have no role, or for all, some in a
// transaction. A transaction that fails is done again one by one, to find the
// tenant that it fails for.
func (e *Engine) eachRole(ctx context.Context, options RolesOptions, work func(ctx context.Context, r role) error) (result RolesResult, err error) {
	report, err := e.Roles(ctx)
	if err != nil {
		return result, err
	}
	if !report.CanCreate {
		return result, fault.Newf(fault.Conflict, "The login %s may not make roles: a superuser has to run ALTER ROLE %s CREATEROLE first.", report.Login, report.Login)
	}
	progress := Progress{Total: report.Missing}
	if options.Repair {
		progress.Total = report.Tenants
	}
	do := func(batch []role) error {
		return e.db.InSystemTx(ctx, func(ctx context.Context) error {
			for _, r := range batch {
				if err := work(tenant.NewContext(ctx, tenant.MustParse(r.schema)), r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	after := ""
	for {
		batch, err := e.rolesAfter(ctx, report, after, options.Repair)
		if err != nil || len(batch) == 0 {
			return result, err
		}
		after = batch[len(batch)-1].schema
		whole := do(batch)
		for _, r := range batch {
			err := whole
			if err != nil {
				err = do([]role{r})
			}
			purged := err != nil && errors.Is(e.reread(ctx, &fleetMember{schema: r.schema}), sql.ErrNoRows)
			if purged {
				err = nil // with whatever role it had
			}
			if err != nil && (ctx.Err() != nil || isAway(err)) {
				return result, errors.Join(ctx.Err(), database.Classify(err))
			}
			progress.Done++
			progress.Schema, progress.Err = r.schema, err
			switch {
			case purged:
			case err == nil:
				result.Done++
			default:
				progress.Failed++
				result.Failures = append(result.Failures, Failure{Schema: r.schema, Err: explain(err)})
			}
			if options.Observe != nil {
				options.Observe(progress)
			}
		}
	}
}

// rolesAfter returns the next tenants' roles, those that exist already only for all.
func (e *Engine) rolesAfter(ctx context.Context, report RolesReport, after string, all bool) (batch []role, err error) {
	rows, err := e.db.Registry().QueryContext(ctx, `SELECT t.schema_name, r.oid IS NOT NULL FROM tenants t
		LEFT JOIN pg_roles r ON r.rolname = `+database.RoleNameSQL(report.Database, "t.schema_name")+`
		WHERE t.schema_name > ? AND (? OR r.oid IS NULL) ORDER BY t.schema_name LIMIT ?`, after, all, rolesBatch)
	if err != nil {
		return nil, database.Classify(err)
	}
	err = each(rows, func() error {
		r := role{version: report.ServerVersion}
		if err := rows.Scan(&r.schema, &r.exists); err != nil {
			return err
		}
		schema, err := tenant.Parse(r.schema)
		if err != nil {
			return fmt.Errorf("the registry names no tenant's schema: %w", err)
		}
		r.name = database.RoleName(report.Database, schema)
		batch = append(batch, r)
		return nil
	})
	return batch, database.Classify(err)
}

// dropRole drops the role of a schema that is gone, if it has one. With the schema
// went all that the role had here; one that has something in another database, a
// copy of this one, stays: it cannot log in.
func (e *Engine) dropRole(ctx context.Context, schema tenant.Schema) error {
	report, err := e.server(ctx)
	if err != nil {
		return err
	}
	name := database.RoleName(report.Database, schema)
	var exists bool
	if err := e.db.Registry().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = ?)`, name).Scan(&exists); err != nil || !exists {
		return database.Classify(err)
	}
	_, err = e.db.Registry().ExecContext(ctx, `DROP ROLE IF EXISTS "`+name+`"`)
	if database.SQLState(err) == codeDependentObjects {
		return nil
	}
	return database.Classify(err)
}
