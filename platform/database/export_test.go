package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// SearchPaths returns the path and the role on every connection of the pool, asked
// without anything in front.
func SearchPaths(ctx context.Context, db *DB) (paths []string, err error) {
	var held []*sql.Conn
	defer func() {
		for _, c := range held {
			if closeErr := c.Close(); !errors.Is(closeErr, sql.ErrConnDone) {
				err = errors.Join(err, closeErr)
			}
		}
	}()
	for _, group := range db.groups {
		for range group.Stats().OpenConnections {
			c, err := group.DB.Conn(ctx)
			if err != nil {
				return nil, err
			}
			held = append(held, c)
		}
	}
	for _, c := range held {
		err := c.Raw(func(driverConn any) error {
			rows, err := driverConn.(*conn).pg.QueryContext(ctx, "SELECT current_setting('search_path') || ' ' || current_setting('role')", nil)
			if err != nil {
				return driver.ErrBadConn // closed by the server: it keeps nothing
			}
			defer rows.Close()
			value := make([]driver.Value, 1)
			if err := rows.Next(value); err != nil {
				return err
			}
			paths = append(paths, value[0].(string))
			return nil
		})
		if err != nil && !errors.Is(err, driver.ErrBadConn) {
			return nil, err
		}
	}
	return paths, nil
}

// Pool is what bypasses the handles: code that gets hold of it by accident.
func Pool(db *DB) *sql.DB { return db.groups[0].DB }

// NewConn opens a connection of which no pool knows.
func NewConn(ctx context.Context, url string) (driver.Conn, error) {
	target, err := parseTarget(url)
	if err != nil {
		return nil, err
	}
	return (&connector{target: target}).Connect(ctx)
}

// SharesTaken returns how many tenants hold connections or wait for one.
func SharesTaken(db *DB) int {
	db.shares.mu.Lock()
	defer db.shares.mu.Unlock()
	return len(db.shares.taken)
}
