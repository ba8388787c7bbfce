package database_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
	"github.com/tenonhq/tenon/platform/tenant"
)

var benchSchemas = flag.String("schemas", "1,100", "numbers of tenants that BenchmarkList spreads its statements over")

const (
	benchRows  = 20
	benchBatch = 400 // statements of one way before the next takes its turn
)

// BenchmarkList lists 20 rows of one of N tenants over 4 connections, in ways
// that take turns within each iteration, so that their ratios come from one
// run on one machine. The ratio of a way is its throughput over that of
// hand-written pgx with prepared statements and qualified names.
func BenchmarkList(b *testing.B) {
	for field := range strings.SplitSeq(*benchSchemas, ",") {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatalf("-schemas: %v", err)
		}
		b.Run("schemas="+field, func(b *testing.B) { benchmarkList(b, n) })
	}
}

type listing struct {
	ID        int64
	Slug      string
	CreatedBy string
}

func benchmarkList(b *testing.B, n int) {
	url := localpgtest.NewDatabase(b)
	db := databasetest.Open(b, url)
	schemas := make([]tenant.Schema, n)
	for i := range schemas {
		schemas[i] = tenant.MustParse(fmt.Sprintf("tenant_%d", i))
		databasetest.CreateTenant(b, db, schemas[i], ddl+
			fmt.Sprintf("INSERT INTO projects (slug, created_by) SELECT 'project-' || i, 'user_1' FROM generate_series(1, %d) AS i", 2*benchRows))
	}
	if _, err := db.Registry().ExecContext(b.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}

	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = databasetest.MaxOpenConns
	prepared, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer prepared.Close()
	plain := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url))), pgdialect.New())
	defer plain.Close()
	plain.SetMaxOpenConns(databasetest.MaxOpenConns)
	plain.SetMaxIdleConns(databasetest.MaxOpenConns)

	list := func(ctx context.Context, idb bun.IDB) (int, error) {
		var projects []projectRow
		err := idb.NewSelect().Model(&projects).Order("id DESC").Limit(benchRows).Scan(ctx)
		return len(projects), err
	}
	ways := []struct {
		name string
		list func(ctx context.Context, schema tenant.Schema) (int, error)
		took time.Duration
	}{
		{name: "pgx-prepared", list: func(ctx context.Context, schema tenant.Schema) (int, error) {
			rows, err := prepared.Query(ctx, `SELECT id, slug, created_by FROM "`+schema.String()+`".projects ORDER BY id DESC LIMIT $1`, benchRows)
			if err != nil {
				return 0, err
			}
			projects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[listing])
			return len(projects), err
		}},
		{name: "one-message", list: func(ctx context.Context, schema tenant.Schema) (int, error) {
			return list(tenant.NewContext(ctx, schema), db.Tenants())
		}},
		{name: "in-tenant-tx", list: func(ctx context.Context, schema tenant.Schema) (n int, err error) {
			err = db.InTenantTx(tenant.NewContext(ctx, schema), func(ctx context.Context) error {
				n, err = list(ctx, db.Tenants())
				return err
			})
			return n, err
		}},
		{name: "4-round-trips", list: func(ctx context.Context, schema tenant.Schema) (n int, err error) {
			err = plain.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.ExecContext(ctx, "SET LOCAL search_path TO ?", bun.Ident(schema.String())); err != nil {
					return err
				}
				n, err = list(ctx, tx)
				return err
			})
			return n, err
		}},
	}
	// As in a server, the context can end.
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	turn := func(way int) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for worker := range databasetest.MaxOpenConns {
			wg.Go(func() {
				for i := worker; i < benchBatch; i += databasetest.MaxOpenConns {
					// A stride that is coprime to n visits every tenant.
					if got, err := ways[way].list(ctx, schemas[i*7919%n]); err != nil || got != benchRows {
						b.Errorf("%s: %d rows, %v", ways[way].name, got, err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	for way := range ways {
		turn(way) // connections and caches
	}
	for b.Loop() {
		for way := range ways {
			ways[way].took += turn(way)
		}
	}
	for _, way := range ways {
		b.ReportMetric(float64(ways[0].took)/float64(way.took), way.name+"-ratio")
	}
	b.ReportMetric(ways[1].took.Seconds()*1e6*databasetest.MaxOpenConns/float64(b.N*benchBatch), "µs/one-message")
	b.ReportMetric(0, "ns/op")
}
