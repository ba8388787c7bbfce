package database

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// handle is the bun.IDB of one scope. Query builders made by it run through
// its runner, raw statements through Bun, so that query hooks see each once.
type handle struct {
	db    *DB
	scope scope
}

var _ bun.IDB = (*handle)(nil)

// lease takes a part of the tenant's share for a statement that is in no transaction,
// which has its own. Rows give it back when they are closed.
func (h *handle) lease(ctx context.Context) (context.Context, *lease) {
	if h.db.transaction(ctx) != nil {
		return ctx, nil
	}
	return h.db.shares.take(ctx, h.scope)
}

// runner sends what a query builder has formatted.
type runner struct{ *handle }

func (r runner) conn(ctx context.Context) bun.IConn {
	if t := r.db.transaction(ctx); t != nil {
		return t.tx.Tx
	}
	return r.db.group(ctx, r.scope).DB
}

func (r runner) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, lease := r.lease(ctx)
	defer lease.end()
	return r.conn(ctx).ExecContext(withScope(ctx, r.scope), query, args...)
}

func (r runner) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, lease := r.lease(ctx)
	rows, err := r.conn(ctx).QueryContext(withScope(ctx, r.scope), query, args...)
	if err != nil {
		lease.end()
	}
	return rows, err
}

func (r runner) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx, lease := r.lease(ctx)
	row := r.conn(ctx).QueryRowContext(withScope(ctx, r.scope), query, args...)
	if row.Err() != nil {
		lease.end()
	}
	return row
}

// conn formats and runs query hooks, as runner.conn does not.
func (h *handle) conn(ctx context.Context) bun.IConn {
	if t := h.db.transaction(ctx); t != nil {
		return t.tx
	}
	return h.db.group(ctx, h.scope)
}

func (h *handle) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, lease := h.lease(ctx)
	defer lease.end()
	return h.conn(ctx).ExecContext(withScope(ctx, h.scope), query, args...)
}

func (h *handle) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, lease := h.lease(ctx)
	rows, err := h.conn(ctx).QueryContext(withScope(ctx, h.scope), query, args...)
	if err != nil {
		lease.end()
	}
	return rows, err
}

func (h *handle) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx, lease := h.lease(ctx)
	row := h.conn(ctx).QueryRowContext(withScope(ctx, h.scope), query, args...)
	if row.Err() != nil {
		lease.end()
	}
	return row
}

// BeginTx binds the transaction to the handle's scope and the context's
// tenant. Inside a transaction of the same scope it is a savepoint. Inside
// [DB.InSystemTx] it is refused, because a bun.Tx would not say which schema
// its statements are for; InSystemTx itself nests there.
func (h *handle) BeginTx(ctx context.Context, opts *sql.TxOptions) (bun.Tx, error) {
	if outer := h.db.transaction(ctx); outer != nil {
		if outer.bound.scope != h.scope {
			return bun.Tx{}, ErrOtherScope
		}
		// A bun.Tx rolls back with the context it began with: had that ended,
		// the savepoint's work would stay in the transaction.
		return outer.tx.BeginTx(context.WithoutCancel(withScope(ctx, h.scope)), opts)
	}
	t, err := h.db.begin(ctx, h.scope, opts)
	if err != nil {
		return bun.Tx{}, err
	}
	return t.tx, nil
}

// RunInTx is BeginTx around fn, which must leave the end of its tx to RunInTx.
// The context that fn is given carries the transaction too, so statements of
// the handle join it, and the scope, so it works inside [DB.InSystemTx].
func (h *handle) RunInTx(ctx context.Context, opts *sql.TxOptions, fn func(ctx context.Context, tx bun.Tx) error) error {
	if outer := h.db.transaction(ctx); outer != nil {
		return h.db.inSavepoint(ctx, outer, h.scope, func(ctx context.Context) error {
			return fn(withScope(ctx, h.scope), outer.tx)
		})
	}
	return h.db.inTx(ctx, h.scope, opts, func(ctx context.Context) error {
		return fn(ctx, h.db.transaction(ctx).tx)
	})
}

func (h *handle) Dialect() schema.Dialect { return h.db.groups[0].Dialect() }

func (h *handle) NewValues(model any) *bun.ValuesQuery {
	return bun.NewValuesQuery(h.db.groups[0], model).Conn(runner{h})
}
func (h *handle) NewSelect() *bun.SelectQuery {
	return bun.NewSelectQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewInsert() *bun.InsertQuery {
	return bun.NewInsertQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewUpdate() *bun.UpdateQuery {
	return bun.NewUpdateQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewDelete() *bun.DeleteQuery {
	return bun.NewDeleteQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewMerge() *bun.MergeQuery { return bun.NewMergeQuery(h.db.groups[0]).Conn(runner{h}) }
func (h *handle) NewRaw(query string, args ...any) *bun.RawQuery {
	return bun.NewRawQuery(h.db.groups[0], query, args...).Conn(runner{h})
}
func (h *handle) NewCreateTable() *bun.CreateTableQuery {
	return bun.NewCreateTableQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewDropTable() *bun.DropTableQuery {
	return bun.NewDropTableQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewCreateIndex() *bun.CreateIndexQuery {
	return bun.NewCreateIndexQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewDropIndex() *bun.DropIndexQuery {
	return bun.NewDropIndexQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewTruncateTable() *bun.TruncateTableQuery {
	return bun.NewTruncateTableQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewAddColumn() *bun.AddColumnQuery {
	return bun.NewAddColumnQuery(h.db.groups[0]).Conn(runner{h})
}
func (h *handle) NewDropColumn() *bun.DropColumnQuery {
	return bun.NewDropColumnQuery(h.db.groups[0]).Conn(runner{h})
}
