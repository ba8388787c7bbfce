package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tenonhq/tenon/platform/tenant"
)

// What a zero field of [Config] stands for.
const (
	DefaultMaxOpenConns    = 16
	DefaultMaxConnLifetime = 10 * time.Minute
	DefaultMaxConnIdleTime = 2 * time.Minute
)

// Config says how to reach the database and how many connections to keep.
type Config struct {
	// URL is postgres://user:password@host:port/database with the parameters
	// sslmode, sslrootcert, sslcert, sslkey, connect_timeout (seconds; 5 when
	// absent), application_name and host (for a socket's folder).
	URL string
	// MaxOpenConns is the pool's size. A server process keeps some 56 KB of
	// catalog cache for every tenant it touched, so few are better than many.
	MaxOpenConns int
	// MaxTenantConns is how many connections the statements and transactions of one
	// tenant hold at once; more of them wait until their context ends. 0 = no bound.
	MaxTenantConns int
	// TenantGroups divides the connections among as many groups of tenants, so that
	// a server process keeps the catalog cache of its own group's tenants alone. A
	// tenant holds half of its group's connections at most then, of which there have
	// to be two. 0 = 1, which divides nothing.
	TenantGroups int
	// MaxConnLifetime ends connections, spread over its last tenth, which
	// frees that cache and finds a server that moved. Negative = never.
	MaxConnLifetime time.Duration
	// MaxConnIdleTime ends connections that nobody needed. Negative = never.
	MaxConnIdleTime time.Duration
	// ApplicationName shows in pg_stat_activity; the URL's comes first.
	ApplicationName string
	// Logger receives what no caller can be told; nil = slog.Default.
	Logger *slog.Logger
	// QueryHooks see every statement of both handles as Bun built it, without
	// the path in front.
	QueryHooks []bun.QueryHook
	// Observe is told of every message that is sent; may be nil.
	Observe Observer
}

// DB is a pool of connections on which every statement names its schema.
type DB struct {
	groups  []*bun.DB // each of them a pool; see group.go
	logger  *slog.Logger
	changes *Changes
	roles   *roles
	shares  *shares

	tenants, registry, owner bun.IDB
}

// Open returns a pool on cfg.URL. It does not connect; see [DB.Ping]. Its
// errors never show the password.
func Open(cfg Config) (*DB, error) {
	target, err := parseTarget(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if cfg.MaxTenantConns < 0 {
		return nil, fmt.Errorf("database: %d connections for a tenant", cfg.MaxTenantConns)
	}
	if cfg.MaxOpenConns < 0 {
		return nil, fmt.Errorf("database: a pool of %d connections", cfg.MaxOpenConns)
	}
	if target.application == "" {
		target.application = cfg.ApplicationName
	}
	if cfg.MaxOpenConns == 0 {
		cfg.MaxOpenConns = DefaultMaxOpenConns
	}
	cfg.TenantGroups = max(cfg.TenantGroups, 1)
	if cfg.TenantGroups > 1 && 2*cfg.TenantGroups > cfg.MaxOpenConns {
		return nil, fmt.Errorf("database: %d connections for %d groups of tenants, which need two each", cfg.MaxOpenConns, cfg.TenantGroups)
	}
	if cfg.MaxConnLifetime == 0 {
		cfg.MaxConnLifetime = DefaultMaxConnLifetime
	}
	if cfg.MaxConnIdleTime == 0 {
		cfg.MaxConnIdleTime = DefaultMaxConnIdleTime
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}

	roles := new(roles)
	db := &DB{logger: cfg.Logger, changes: new(Changes), roles: roles, shares: newShares(cfg)}
	for group := range cfg.TenantGroups {
		pool := sql.OpenDB(&connector{target: target, lifetime: cfg.MaxConnLifetime, observe: cfg.Observe, roles: roles})
		size := groupSize(cfg, group)
		pool.SetMaxOpenConns(size)
		pool.SetMaxIdleConns(size)
		pool.SetConnMaxLifetime(cfg.MaxConnLifetime)
		pool.SetConnMaxIdleTime(cfg.MaxConnIdleTime)
		bunDB := bun.NewDB(pool, pgdialect.New())
		for _, hook := range cfg.QueryHooks {
			bunDB = bunDB.WithQueryHook(hook)
		}
		db.groups = append(db.groups, bunDB)
	}
	db.tenants = &handle{db: db, scope: tenantScope}
	db.registry = &handle{db: db, scope: registryScope}
	db.owner = &handle{db: db, scope: ownerScope}
	return db, nil
}

// Ping reports whether the database answers, connecting if need be.
func (db *DB) Ping(ctx context.Context) error {
	return Classify(db.idlest().PingContext(ctx))
}

// Close waits for statements under way and closes every connection.
func (db *DB) Close() (err error) {
	for _, group := range db.groups {
		err = errors.Join(err, group.Close())
	}
	return err
}

// Stats returns the pool's counters, of all groups together.
func (db *DB) Stats() (total sql.DBStats) {
	for _, group := range db.groups {
		stats := group.Stats()
		total.MaxOpenConnections += stats.MaxOpenConnections
		total.OpenConnections += stats.OpenConnections
		total.InUse += stats.InUse
		total.Idle += stats.Idle
		total.WaitCount += stats.WaitCount
		total.WaitDuration += stats.WaitDuration
		total.MaxIdleClosed += stats.MaxIdleClosed
		total.MaxIdleTimeClosed += stats.MaxIdleTimeClosed
		total.MaxLifetimeClosed += stats.MaxLifetimeClosed
	}
	return total
}

// Tenants returns the handle for tables in a tenant's schema. Each statement
// runs in the schema of tenant.FromContext, in the transaction that its
// context carries if any; without a tenant it fails with [ErrNoTenant] and
// nothing is sent.
func (db *DB) Tenants() bun.IDB { return db.tenants }

// Registry returns the handle for tables in public. Statements see public
// alone, whatever tenant their context names; inside [DB.InTenantTx] they fail
// with [ErrOtherScope].
func (db *DB) Registry() bun.IDB { return db.registry }

// InTenantTx runs fn in a transaction bound to the context's tenant and
// commits it when fn returns nil. Statements of [DB.Tenants] join it through
// the context that fn is given. An error of fn rolls back and is returned as
// it is; so does a panic, which goes on. Inside another transaction it is a
// savepoint: an error undoes fn's part alone. Inside [DB.InSystemTx] it binds
// nothing, since every statement there names its own schema. A savepoint does
// not outlive a cancelled statement, which takes the connection along, and the
// whole transaction with it. Errors of the transaction itself
// went through [Classify]. After a commit cut short by the context's end or a
// lost connection nobody knows whether it happened.
//
// It fails with [ErrNoTenant], with [ErrOtherTenant] inside another tenant's
// transaction, and with [ErrAborted] when fn ignored a failed statement.
func (db *DB) InTenantTx(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := tenant.FromContext(ctx); !ok {
		return ErrNoTenant
	}
	return db.inTx(ctx, tenantScope, nil, fn)
}

// InSystemTx runs fn in one transaction over public and any tenant's schema:
// [DB.Registry] runs in public, [DB.Tenants] in the schema of the tenant that
// the statement's own context names. It is for provisioning, migrations and
// identity sync; a request's use case has no need of it. It commits, rolls
// back and nests as [DB.InTenantTx] does, and may not be called inside a
// tenant's transaction.
func (db *DB) InSystemTx(ctx context.Context, fn func(ctx context.Context) error) error {
	return db.inTx(ctx, systemScope, nil, fn)
}

// transaction is what a context carries.
type transaction struct {
	tx         bun.Tx
	bound      *boundary
	savepoints *atomic.Int64 // names given out
	announced  *announced
}

// Contexts of two databases do not meet.
type transactionKey struct{ db *DB }

func (db *DB) transaction(ctx context.Context) *transaction {
	t, _ := ctx.Value(transactionKey{db}).(*transaction)
	return t
}

func (db *DB) inTx(ctx context.Context, s scope, opts *sql.TxOptions, fn func(ctx context.Context) error) error {
	if outer := db.transaction(ctx); outer != nil {
		return db.inSavepoint(ctx, outer, s, fn)
	}
	t, err := db.begin(ctx, s, opts)
	if err != nil {
		return Classify(err)
	}
	done := false
	defer func() {
		if !done {
			db.report(ctx, "rollback", t.tx.Rollback())
		}
	}()
	if err := fn(context.WithValue(ctx, transactionKey{db}, t)); err != nil {
		return err
	}
	done = true
	// Of a commit that failed nobody may know whether it happened.
	defer db.changes.changing(t.announced.all())()
	return Classify(withContextError(ctx, t.tx.Commit()))
}

func (db *DB) begin(ctx context.Context, s scope, opts *sql.TxOptions) (*transaction, error) {
	ctx = withScope(ctx, s)
	bound, err := newBoundary(ctx)
	if err != nil {
		return nil, err
	}
	ctx, lease := db.shares.take(ctx, s)
	tx, err := db.group(ctx, s).BeginTx(ctx, opts)
	if err != nil {
		lease.end()
		return nil, err
	}
	return &transaction{tx: tx, bound: bound, savepoints: new(atomic.Int64), announced: new(announced)}, nil
}

func (db *DB) inSavepoint(ctx context.Context, outer *transaction, s scope, fn func(ctx context.Context) error) error {
	if outer.bound.scope != systemScope && outer.bound.scope != s {
		return ErrOtherScope
	}
	control := withScope(ctx, controlScope)
	if _, err := outer.bound.prefix(control, nil); err != nil {
		return err
	}
	name := fmt.Sprintf("nested_%d", outer.savepoints.Add(1))
	if _, err := outer.tx.ExecContext(control, "SAVEPOINT "+name); err != nil {
		return Classify(err)
	}
	undo := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(control), cleanupTimeout)
		defer cancel()
		_, err := outer.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+name)
		db.report(ctx, "roll back to savepoint", err)
	}
	done := false
	defer func() {
		if !done {
			undo()
		}
	}()
	if err := fn(ctx); err != nil {
		return err
	}
	if _, err := outer.tx.ExecContext(control, "RELEASE SAVEPOINT "+name); err != nil {
		return Classify(err)
	}
	done = true
	return nil
}

// report logs a failed cleanup. It is no caller's business: the connection is
// closed, which rolls back, and whatever made the cleanup fail was returned.
func (db *DB) report(ctx context.Context, operation string, err error) {
	if err != nil {
		db.logger.DebugContext(ctx, "database cleanup failed", "operation", operation, "error", err)
	}
}
