package database

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenonhq/tenon/platform/tenant"
)

// changesChannel is what processes notify each other on.
const changesChannel = "tenon_changes"

// Announce tells every process that what is known of a tenant has changed: who may
// do what in it, or the tenant itself. Within a transaction it is told when that
// commits, and not at all when it does not; this process then knows by the time the
// commit returns, others hear of it from [DB.Changes] some milliseconds later.
func (db *DB) Announce(ctx context.Context, schema tenant.Schema) error {
	// The function is in pg_catalog, which every path has; a statement of the
	// tenant's own handle works within its own transaction.
	handle := db.registry
	t := db.transaction(ctx)
	if t != nil && t.bound.scope == tenantScope {
		handle = db.tenants
	}
	if _, err := handle.ExecContext(ctx, "SELECT pg_notify(?, ?)", changesChannel, schema.String()); err != nil {
		return Classify(err)
	}
	if t == nil {
		db.changes.tell(schema)
		return nil
	}
	t.announced.add(schema)
	return nil
}

// announced are the tenants that a transaction changed.
type announced struct {
	mu      sync.Mutex
	schemas []tenant.Schema
}

func (a *announced) add(schema tenant.Schema) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schemas = append(a.schemas, schema)
}

func (a *announced) all() []tenant.Schema {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.schemas
}

// Changes returns what hears of changes to tenants, of this process and, while
// [Changes.Run] runs, of all others.
func (db *DB) Changes() *Changes { return db.changes }

// Changes hears of changes to tenants. It is safe for concurrent use.
type Changes struct {
	mu          sync.RWMutex
	subscribers []Subscriber
}

// Subscriber is told of changes. Its functions return soon.
type Subscriber struct {
	// Changing is told of each tenant that [DB.Announce] names, before this
	// process commits the change, and what it returns is called after: in between
	// nobody knows which state a reader saw. Of a change that another process
	// made, both come at once.
	Changing func(schema tenant.Schema) (changed func())
	// Listening is told whether other processes are heard: false while the
	// connection is away, and true when it is there again. What they announced
	// meanwhile is lost.
	Listening func(bool)
}

// Subscribe adds a subscriber for good. It is told first that nobody is heard.
func (c *Changes) Subscribe(s Subscriber) {
	s.Listening(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers = append(c.subscribers, s)
}

// tell tells of changes that have been made.
func (c *Changes) tell(schemas ...tenant.Schema) { c.changing(schemas)() }

// changing tells of changes that are being made; what it returns tells that they
// were.
func (c *Changes) changing(schemas []tenant.Schema) (changed func()) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var then []func()
	for _, s := range c.subscribers {
		for _, schema := range schemas {
			then = append(then, s.Changing(schema))
		}
	}
	return func() {
		for _, changed := range then {
			changed()
		}
	}
}

func (c *Changes) listening(on bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.subscribers {
		s.Listening(on)
	}
}

const (
	// changesProbe is how often a silent connection is asked whether it is still
	// there, and how long it may take to answer: so long others may have lost us.
	changesProbe = time.Second
	// changesRetry is the wait before connecting again.
	changesRetry = time.Second
)

// Run listens until ctx ends, on a connection of its own. directURL leads to
// PostgreSQL itself: what a connection listens to is lost in a pooler.
func (c *Changes) Run(ctx context.Context, directURL string, logger *slog.Logger) {
	defer c.listening(false)
	for ctx.Err() == nil {
		err := c.listen(ctx, directURL)
		c.listening(false)
		if ctx.Err() != nil {
			return
		}
		logger.WarnContext(ctx, "changes of other processes are not heard: every request reads from the database", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(changesRetry):
		}
	}
}

func (c *Changes) listen(ctx context.Context, directURL string) error {
	config, err := pgx.ParseConfig(directURL)
	if err != nil {
		return fmt.Errorf("database: listen for changes: the URL is not valid") // pgx's error may quote it
	}
	config.RuntimeParams["application_name"] = "tenon changes"
	connecting, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return fmt.Errorf("database: listen for changes: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
		defer cancel()
		_ = conn.Close(ctx) // nobody waits for it
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+changesChannel); err != nil {
		return fmt.Errorf("database: listen for changes: %w", err)
	}
	c.listening(true)
	for {
		schema, err := next(ctx, conn)
		if err != nil {
			return fmt.Errorf("database: listen for changes: %w", err)
		}
		if !schema.IsZero() {
			c.tell(schema)
		}
	}
}

// next returns the next tenant that changed, or none when the connection was
// silent for a while and is still there.
func next(ctx context.Context, conn *pgx.Conn) (tenant.Schema, error) {
	waiting, cancel := context.WithTimeout(ctx, changesProbe)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		schema, err := tenant.Parse(notification.Payload)
		if err != nil {
			return tenant.Schema{}, nil // somebody else's idea of a payload
		}
		return schema, nil
	case ctx.Err() == nil && waiting.Err() != nil:
		probing, cancel := context.WithTimeout(ctx, changesProbe)
		defer cancel()
		return tenant.Schema{}, conn.Ping(probing)
	}
	return tenant.Schema{}, err
}
