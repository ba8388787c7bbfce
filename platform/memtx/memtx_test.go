package memtx_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenonhq/tenon/platform/memtx"
)

type cell struct{ value int }

func (c *cell) Snapshot() func() { old := c.value; return func() { c.value = old } }

func TestTransactions(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	set := func(c *cell, value int, err error) func(context.Context) error {
		return func(context.Context) error { c.value = value; return err }
	}
	for name, test := range map[string]struct {
		run  func(ctx context.Context, tx *memtx.Transactor, c *cell) error
		want int
		err  error
	}{
		"a success stays": {
			run: func(ctx context.Context, tx *memtx.Transactor, c *cell) error {
				return tx.InSystemTx(ctx, set(c, 2, nil))
			},
			want: 2,
		},
		"a failure is undone": {
			run: func(ctx context.Context, tx *memtx.Transactor, c *cell) error {
				return tx.InSystemTx(ctx, set(c, 2, failure))
			},
			want: 1, err: failure,
		},
		"an inner failure is undone alone": {
			run: func(ctx context.Context, tx *memtx.Transactor, c *cell) error {
				return tx.InSystemTx(ctx, func(ctx context.Context) error {
					c.value = 2
					if err := tx.InSystemTx(ctx, set(c, 3, failure)); !errors.Is(err, failure) {
						return errors.New("the inner failure is lost")
					}
					return nil
				})
			},
			want: 2,
		},
		"an outer failure undoes an inner success": {
			run: func(ctx context.Context, tx *memtx.Transactor, c *cell) error {
				return tx.InSystemTx(ctx, func(ctx context.Context) error {
					return errors.Join(tx.InSystemTx(ctx, set(c, 3, nil)), failure)
				})
			},
			want: 1, err: failure,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &cell{value: 1}
			err := test.run(t.Context(), memtx.New(c), c)
			if !errors.Is(err, test.err) || c.value != test.want {
				t.Errorf("got %d and %v, want %d and %v", c.value, err, test.want, test.err)
			}
		})
	}
}

func TestAPanicIsUndoneAndFreesTheLock(t *testing.T) {
	t.Parallel()
	c := &cell{value: 1}
	tx := memtx.New(c)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = tx.InSystemTx(t.Context(), func(context.Context) error { c.value = 2; panic("boom") })
	}()
	if c.value != 1 {
		t.Errorf("got %d after a panic, want 1", c.value)
	}
	if err := tx.InSystemTx(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("the next transaction fails: %v", err)
	}
}
