package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/tenonhq/tenon/platform/origin"
)

// These bound what goes on after a context ended.
const (
	// cleanupTimeout is for the ROLLBACK that makes a connection reusable. One
	// that cannot do it in that time is closed, which rolls back as well.
	cleanupTimeout = 5 * time.Second
	// cancelTimeout is for asking the server to stop a statement.
	cancelTimeout = time.Second
	// cancelPatience is how long the server has to answer before it is asked again.
	cancelPatience = 50 * time.Millisecond
)

var (
	// ErrAborted is a commit, or one more statement, in a transaction in which
	// a statement failed and the failure was ignored. PostgreSQL would answer
	// such a commit with a rollback that reads like success.
	ErrAborted = errors.New("database: a statement of the transaction failed, so all of it is rolled back")

	errPrepare   = fmt.Errorf("%w: prepared statements outlive the message that names the tenant", ErrRefused)
	errArguments = fmt.Errorf("%w: arguments that Bun did not format into the text", ErrRefused)
	errOpenRows  = fmt.Errorf("%w: rows of an earlier statement of the transaction are still open", ErrRefused)
)

// connector opens connections that put the tenant in front of every statement.
type connector struct {
	target   target
	lifetime time.Duration
	observe  Observer // may be nil
	roles    *roles   // nil for none
}

var _ driver.Connector = (*connector)(nil)

// Driver is there for the interface; its connections would know no tenants.
func (c *connector) Driver() driver.Driver { return refusingDriver{} }

// The driver writes a line of its own to standard error, whatever form the log
// has, about what it returns as an error as well.
func init() { pgdriver.Logger = silence{} }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

type refusingDriver struct{}

func (refusingDriver) Open(string) (driver.Conn, error) { return nil, ErrUnscoped }

// Connect dials, negotiates TLS and logs in, within the target's connect
// timeout at most.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.target.connectTimeout)
	defer cancel()
	netConn, err := c.target.dial(ctx)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: netConn}
	stop := context.AfterFunc(ctx, w.interrupt)
	pg, err := pgdriver.NewConnector(c.target.options(w)...).Connect(context.Background())
	if !stop() && err == nil {
		err = errInterrupted
	}
	if err != nil {
		_ = netConn.Close()
		return nil, withContextError(ctx, fmt.Errorf("log in to %s: %w", c.target.addr, err))
	}
	cn := &conn{pg: pg.(*pgdriver.Conn), wire: w, target: &c.target, observe: c.observe, roles: c.roles}
	if c.lifetime > 0 {
		// Spread over a tenth, so that connections opened together do not
		// all have to be opened again together.
		cn.retireAt = time.Now().Add(c.lifetime - rand.N(c.lifetime/10+1))
	}
	return cn, nil
}

// conn is one connection. database/sql calls its methods one at a time.
type conn struct {
	pg       *pgdriver.Conn
	wire     *wire
	target   *target
	observe  Observer
	roles    *roles
	retireAt time.Time
	bound    *boundary // of the open transaction
	openRows bool
	used     bool
	awaits   atomic.Bool // an answer
}

var (
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
)

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errPrepare }

func (c *conn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, errPrepare
}

func (c *conn) Begin() (driver.Tx, error) { return nil, ErrUnscoped }

// Close takes leave as the protocol asks, lest the server, or PgBouncer, log
// every retired connection as a client that broke off.
func (c *conn) Close() error {
	if c.wire.clean() {
		_, _ = c.wire.Conn.Write([]byte{'X', 0, 0, 0, 4})
	}
	return c.pg.Close()
}

// IsValid lets database/sql keep the connection after use.
func (c *conn) IsValid() bool {
	return c.pg.IsValid() && c.wire.clean() && c.bound == nil && !c.openRows &&
		(c.retireAt.IsZero() || time.Now().Before(c.retireAt))
}

// ResetSession checks the connection again before its next use, so that a
// server that restarted costs nobody a failed statement. Nothing has to be
// undone: no setting outlived the message it was made in.
func (c *conn) ResetSession(context.Context) error {
	if !c.IsValid() || !c.wire.silent() {
		return driver.ErrBadConn
	}
	return nil
}

// Ping needs no tenant, as it touches no table.
func (c *conn) Ping(ctx context.Context) error {
	_, err := c.exec(ctx, "SELECT 1")
	return err
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	prefix, err := c.prefix(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return c.execAs(ctx, query, prefix)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	prefix, err := c.prefix(ctx, query, args)
	if err != nil {
		return nil, err
	}
	stop, err := c.watch(ctx)
	if err != nil {
		return nil, err
	}
	c.wire.oneResult = true
	start := time.Now()
	pgRows, err := c.pg.QueryContext(context.Background(), prefix+query, nil)
	c.observed(ctx, start, query, err)
	if err != nil {
		stop()
		return nil, withContextError(ctx, explainRole(prefix, err))
	}
	c.openRows = true
	result := &rows{Rows: pgRows, ctx: ctx, conn: c, stop: stop}
	if c.bound == nil && !reads(query) { // a transaction has an answer of its own to its commit
		return result.all()
	}
	return result, nil
}

// prefix returns what is sent in front of query, or why nothing is.
func (c *conn) prefix(ctx context.Context, query string, args []driver.NamedValue) (string, error) {
	if err := c.learnRoles(ctx); err != nil {
		return "", err
	}
	prefix, err := c.bound.prefix(ctx, c.roles)
	if err != nil {
		return "", err
	}
	if len(args) > 0 {
		return "", errArguments
	}
	if err := checkStatement(query, c.bound != nil, c.bound.confines(ctx)); err != nil {
		return "", err
	}
	if c.bound != nil && c.wire.state == stateAborted && (&words{sql: query}).next() != "rollback" {
		return "", ErrAborted
	}
	// A tenant's transaction was told its origin at its beginning; in one of the
	// system's, every statement comes with its own.
	if (c.bound == nil || c.bound.scope == systemScope) && !reads(query) {
		prefix += origin.FromContext(ctx).SQL()
	}
	return prefix, nil
}

// reads reports whether query is one that changes nothing, for all that can be seen.
func reads(query string) bool { return (&words{sql: query}).next() == "select" }

func (c *conn) exec(ctx context.Context, message string) (driver.Result, error) {
	return c.execAs(ctx, message, "")
}

// execAs sends query behind prefix, which observers do not see.
func (c *conn) execAs(ctx context.Context, query, prefix string) (driver.Result, error) {
	stop, err := c.watch(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	c.wire.oneResult = false
	start := time.Now()
	result, err := c.pg.ExecContext(context.Background(), prefix+query, nil)
	c.observed(ctx, start, query, err)
	if err != nil {
		return nil, withContextError(ctx, explainRole(prefix, err))
	}
	return result, nil
}

func (c *conn) observed(ctx context.Context, start time.Time, query string, err error) {
	if c.observe != nil {
		c.observe(ctx, Message{Start: start, Duration: time.Since(start), Err: err, query: query})
	}
}

// watch gets the connection ready for a message that is given up when ctx
// ends: the server is told to stop, and the connection is not used again.
func (c *conn) watch(ctx context.Context) (stop func(), err error) {
	if c.openRows {
		return nil, errOpenRows
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// database/sql resets a connection before every use but its first, which may
	// be long after it was opened: whoever wanted it may have got another one.
	if !c.used && !c.wire.silent() {
		return nil, driver.ErrBadConn
	}
	c.used = true
	c.awaits.Store(true)
	unregister := context.AfterFunc(ctx, func() {
		// PgBouncer forgets the key of a client that is gone, so first the
		// request, and then the end of the connection.
		c.cancel()
		c.wire.interrupt()
	})
	return func() {
		c.awaits.Store(false)
		if !unregister() {
			// The interruption is on its way and must not hit the next user.
			c.wire.interrupt()
		}
	}, nil
}

// cancel asks the server to stop until there is an answer, three times at most. A
// request that overtakes its message finds nothing to stop; the message would then wait
// for a lock as long as somebody holds it, in a session that nobody knows of any more.
func (c *conn) cancel() {
	for wait := cancelPatience; wait <= 4*cancelPatience; wait *= 2 {
		if !c.target.cancelStatement(c.wire.pid, c.wire.key) {
			return
		}
		for until := time.Now().Add(wait); time.Now().Before(until); time.Sleep(cancelPatience / 10) {
			if !c.awaits.Load() {
				return
			}
		}
	}
}

// withContextError says that err came of ctx's end, if it ended.
func withContextError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && err != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

var isolationLevels = map[sql.IsolationLevel]string{
	sql.LevelDefault:        "",
	sql.LevelReadCommitted:  " ISOLATION LEVEL READ COMMITTED",
	sql.LevelRepeatableRead: " ISOLATION LEVEL REPEATABLE READ",
	sql.LevelSerializable:   " ISOLATION LEVEL SERIALIZABLE",
}

// BeginTx opens a transaction bound to what ctx names and sets its path in the
// same message.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	bound, err := newBoundary(ctx)
	if err != nil {
		return nil, err
	}
	level, ok := isolationLevels[sql.IsolationLevel(opts.Isolation)]
	if !ok {
		return nil, fmt.Errorf("database: isolation level %v is not supported", sql.IsolationLevel(opts.Isolation))
	}
	begin := "BEGIN" + level
	if opts.ReadOnly {
		begin += " READ ONLY"
	}
	if err := c.learnRoles(ctx); err != nil {
		return nil, err
	}
	path := bound.path(c.roles) + origin.FromContext(ctx).SQL()
	if _, err := c.exec(ctx, begin+"; "+path); err != nil {
		err = explainRole(path, err)
		return nil, err
	}
	c.bound = bound
	return &tx{conn: c, ctx: ctx}, nil
}

// tx ends the transaction of its connection. database/sql calls one of its
// methods, once.
type tx struct {
	conn *conn
	ctx  context.Context // that the transaction was opened with
}

func (t *tx) Commit() error {
	defer leaseFrom(t.ctx).end()
	c := t.conn
	if c.wire.state == stateAborted {
		if err := t.Rollback(); err != nil {
			return errors.Join(ErrAborted, err)
		}
		return ErrAborted
	}
	c.bound = nil
	_, err := c.exec(t.ctx, "COMMIT")
	return err
}

func (t *tx) Rollback() error {
	defer leaseFrom(t.ctx).end()
	c := t.conn
	c.bound = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), cleanupTimeout)
	defer cancel()
	_, err := c.exec(ctx, "ROLLBACK")
	return err
}

// rows stops watching the context when the last row was read.
type rows struct {
	driver.Rows
	ctx  context.Context
	conn *conn
	stop func()
}

func (r *rows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the contract of driver.Rows: io.EOF itself
		return err
	case !isServerError(err):
		// The driver may have lost its place in the reply.
		r.conn.wire.interrupt()
	}
	return withContextError(r.ctx, err)
}

func (r *rows) Close() error {
	err := r.Rows.Close()
	r.stop()
	r.conn.openRows = false
	if r.conn.bound == nil {
		leaseFrom(r.ctx).end()
	}
	return withContextError(r.ctx, err)
}

// all reads the rows of a message to its end. Its commit may fail behind them, and
// who asks for one row does not look at what follows.
func (r *rows) all() (driver.Rows, error) {
	// The driver forgets the columns with the last row.
	all := &committedRows{columns: slices.Clone(r.Columns())}
	for {
		values := make([]driver.Value, len(all.columns))
		switch err := r.Next(values); err {
		case nil:
			all.rows = append(all.rows, values)
		case io.EOF: //nolint:errorlint // as in Next
			return all, r.Close()
		default:
			return nil, errors.Join(err, r.Close())
		}
	}
}

// committedRows are the rows of a message that has succeeded.
type committedRows struct {
	columns []string
	rows    [][]driver.Value
}

func (r *committedRows) Columns() []string { return r.columns }

func (r *committedRows) Close() error { return nil }

func (r *committedRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(dest, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}

func isServerError(err error) bool {
	_, ok := errors.AsType[pgdriver.Error](err)
	return ok
}
