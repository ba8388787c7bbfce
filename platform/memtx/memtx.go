// Package memtx gives the in-memory adapters what a database gives the real
// ones: transactions over all of them at once, so that a use case's "whole or
// nothing" can be tested without PostgreSQL.
//
// Transactions run one after another. Reads outside of a transaction are not
// kept apart from a running one.
package memtx

import (
	"context"
	"sync"
)

// Store is an in-memory adapter that can undo.
type Store interface {
	// Snapshot returns a function that brings the store back to its state at
	// the time of the call.
	Snapshot() (restore func())
}

// Transactor runs transactions over the stores that joined it.
type Transactor struct {
	mu     sync.Mutex
	stores []Store
}

// New returns a transactor over stores.
func New(stores ...Store) *Transactor { return &Transactor{stores: stores} }

// Join adds a store. It must not be called while a transaction runs.
func (t *Transactor) Join(store Store) { t.stores = append(t.stores, store) }

type contextKey struct{ *Transactor }

type withinKey struct{}

// Within reports whether ctx is that of a transaction: for stores that keep
// what was written outside of a transaction while one that fails was running.
func Within(ctx context.Context) bool { return ctx.Value(withinKey{}) != nil }

// InSystemTx runs fn and undoes what it did to the stores when it fails or
// panics. Within a transaction of the same Transactor it undoes fn's part alone.
func (t *Transactor) InSystemTx(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	key := contextKey{t}
	if ctx.Value(key) == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		ctx = context.WithValue(context.WithValue(ctx, key, true), withinKey{}, true)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	undo := make([]func(), len(t.stores))
	for i, store := range t.stores {
		undo[i] = store.Snapshot()
	}
	done := false
	defer func() {
		if !done || err != nil {
			for _, restore := range undo {
				restore()
			}
		}
	}()
	err = fn(ctx)
	done = true
	return err
}
