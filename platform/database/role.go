package database

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/tenonhq/tenon/platform/tenant"
)

// ErrNoRole is a tenant whose role is not there, or may not be taken on by the
// login, while [DB.UseRoles] asks for it. Nothing was done.
var ErrNoRole = errors.New("database: the tenant has no role of its own, or the login may not take it on (tenon tenants roles create)")

// Lengths in a role's name, which make the 63 bytes at which PostgreSQL cuts it.
const (
	roleSchemaLength   = 36
	roleDatabaseLength = 10
	roleHashLength     = 16
)

func shortHash(text string, length int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:length]
}

// RoleName returns the name of a tenant's role in a database: the beginning of the
// schema's name, for readers, an @, and hashes of both names. Roles belong to the
// whole server, so two databases with the same tenants must not share them. The
// name needs quotes and no escaping. database is the server's own name for it,
// which a pooler's alias is not.
func RoleName(database string, schema tenant.Schema) string {
	name := schema.String()
	return name[:min(len(name), roleSchemaLength)] + "@" + shortHash(database, roleDatabaseLength) + shortHash(name, roleHashLength)
}

// RoleNameSQL returns [RoleName] as an expression over another one that yields the
// schema's name.
func RoleNameSQL(database, schema string) string {
	return fmt.Sprintf("(left(%[1]s, %[2]d) || '@%[3]s' || left(encode(sha256(convert_to(%[1]s, 'UTF8')), 'hex'), %[4]d))",
		schema, roleSchemaLength, shortHash(database, roleDatabaseLength), roleHashLength)
}

// roles say whether statements of a tenant are run by the tenant's own role.
type roles struct {
	on       atomic.Bool
	database atomic.Pointer[string] // the server's name for it; nil until it was asked
}

// prefix takes on the role of a schema, where roles are used. A statement that has looked
// before they were switched on for the first time, and not learned the name, goes without.
func (r *roles) prefix(schema tenant.Schema) string {
	if r == nil || !r.on.Load() {
		return ""
	}
	name := r.database.Load()
	if name == nil {
		return ""
	}
	return `SET LOCAL ROLE "` + RoleName(*name, schema) + `"; `
}

// learnRoles asks the server for its name of the database, once in a pool's life
// and before the first statement that needs a role.
func (c *conn) learnRoles(ctx context.Context) error {
	if c.roles == nil || !c.roles.on.Load() || c.roles.database.Load() != nil {
		return nil
	}
	stop, err := c.watch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	c.wire.oneResult = true
	rows, err := c.pg.QueryContext(context.Background(), "SELECT current_database()::text", nil)
	if err != nil {
		return withContextError(ctx, err)
	}
	defer rows.Close()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil {
		return withContextError(ctx, err)
	}
	name := value[0].(string)
	c.roles.database.Store(&name)
	return nil
}

// explainRole says of an error of SET LOCAL ROLE what it means. SQLSTATE 22023 is
// a role that does not exist, and 42501 one that the login is no member of.
func explainRole(prefix string, err error) error {
	refused, ok := errors.AsType[pgdriver.Error](err)
	if !ok || !strings.Contains(prefix, "SET LOCAL ROLE") {
		return err
	}
	code, message := refused.Field('C'), refused.Field('M')
	if code == "22023" && strings.HasPrefix(message, `role "tenant_`) || code == "42501" && strings.HasPrefix(message, "permission denied to set role") {
		return fmt.Errorf("%w: %w", ErrNoRole, err)
	}
	return err
}

// UseRoles makes each statement of [DB.Tenants] outside of a system transaction
// run with the rights of its tenant's role alone ([RoleName]), from the next
// message or transaction on, or with the login's again. A tenant without a role
// gets [ErrNoRole] then. Another tenant's table is, by whatever name, an error from
// PostgreSQL itself.
func (db *DB) UseRoles(on bool) { db.roles.on.Store(on) }

// UsesRoles reports what [DB.UseRoles] was told last.
func (db *DB) UsesRoles() bool { return db.roles.on.Load() }

// Owner returns the handle for those who make and change a tenant's schema: as
// [DB.Tenants], but with the login's own rights, which are those of the schema's
// owner. Repositories have no need of it.
func (db *DB) Owner() bun.IDB { return db.owner }
