package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/tenonhq/tenon/modules/identity"
	identityrepo "github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/tenant"
)

func seedCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "seed",
		Usage: "fill a database with tenants, people and projects, to measure and to try things on",
		Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`. The same flags make the same data, and what\n" +
			"is there already is left as it is, so an interrupted seeding goes on where it was.\n\n" +
			"Clerk knows nothing of these organizations (their ids begin with org_seed): use a database that you can throw away.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "tenants", Value: 10, Usage: "make `N` tenants"},
			&cli.IntFlag{Name: "projects", Value: 20, Usage: "give each tenant `M` projects"},
			&cli.IntFlag{Name: "users", Value: 5, Usage: "give each tenant `K` people, the first of them its owner"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "choose names and dates by `NUMBER`"},
			&cli.IntFlag{Name: "workers", Value: 2 * runtime.NumCPU(), Usage: "make `N` tenants at once"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			plan := seedPlan{
				tenants: cmd.Int("tenants"), projects: cmd.Int("projects"), users: cmd.Int("users"), workers: cmd.Int("workers"),
				seed: cmd.Uint64("seed"), now: time.Now().UTC().Truncate(24 * time.Hour),
			}
			for _, flag := range []struct {
				name             string
				value, low, high int
			}{
				{"tenants", plan.tenants, 1, 1_000_000}, {"projects", plan.projects, 0, 1_000_000},
				{"users", plan.users, 1, 10_000}, {"workers", plan.workers, 1, 64},
			} {
				if flag.value < flag.low || flag.value > flag.high {
					return usageError("--%s: want a number from %d to %d", flag.name, flag.low, flag.high)
				}
			}
			return plan.run(ctx, s)
		},
	}
}

// seedPlan is what to make.
type seedPlan struct {
	tenants, projects, users, workers int
	seed                              uint64
	now                               time.Time // what dates are before
}

func (p seedPlan) run(ctx context.Context, s surroundings) error {
	return withOperator(ctx, s.forWorkers(p.workers), func(o operator) error { return p.fill(ctx, s, o) })
}

func (p seedPlan) fill(ctx context.Context, s surroundings, o operator) error {
	if err := o.engine.Check(ctx); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(o.url)
	if err != nil {
		return cli.Exit("DATABASE_URL: it is not valid", exitUsage)
	}
	config.MaxConns = int32(p.workers)
	config.MaxConnLifetime = operatorConnLifetime
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	tenants := o.tenancy()
	identities := identity.NewSync(o.db, identityrepo.NewDirectory(o.db), identityrepo.NewMembers(o.db), tenants)

	began := time.Now()
	report := newProgress(s.stderr)
	var counting sync.Mutex // the report is for one goroutine at a time
	made := 0
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(p.workers)
	for n := range p.tenants {
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := p.tenant(working, n, tenants, identities, pool); err != nil {
				return fmt.Errorf("tenant %d: %w", n, err)
			}
			counting.Lock()
			defer counting.Unlock()
			made++
			report.show(made, p.tenants, "Seeding", "0 failed")
			return nil
		})
	}
	err = group.Wait()
	report.finish()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s of %d seeded; the same command goes on: %w", count(made), p.tenants, err)
	}
	took := time.Since(began)
	fmt.Fprintf(s.stderr, "Seeded %s, each with %d people and %d projects, in %.1f s.\n", count(p.tenants), p.users, p.projects, took.Seconds())
	return nil
}

// tenant makes the nth one by the use case that webhooks go through, and its
// projects by COPY.
func (p seedPlan) tenant(ctx context.Context, n int, tenants *tenancy.Service, sync *identity.Sync, pool *pgxpool.Pool) error {
	// A source of its own makes a tenant the same whoever makes it, and when.
	random := rand.New(rand.NewPCG(p.seed, uint64(n)))
	observation := p.organization(n, random)
	if err := sync.Apply(ctx, observation); err != nil {
		return err
	}
	made, err := tenants.Get(ctx, observation.Organizations[0].ID)
	if err != nil {
		return err
	}
	return p.copyProjects(ctx, pool, made.Schema, observation, random)
}

var (
	seedFirst = strings.Fields("Ada Alan Annie Barbara Claude Dorothy Edsger Frances Grace Hedy Ivan John Katherine Lise Mary Niklaus Olga Rosalind Radia Tony Vera")
	seedLast  = strings.Fields("Allen Bartik Berners-Lee Curie Dijkstra Easley Franklin Goldberg Hamilton Hopper Johnson Kilburn Liskov Lovelace Meitner Noether Perlman Rubin Turing Wirth")
	seedFirm  = strings.Fields("Amber Birch Cedar Delta Ember Fjord Granite Harbor Iron Juniper Kestrel Lumen Maple North Orchid Prairie Quartz River Summit Tidal")
	seedTrade = strings.Fields("Analytics Bakery Builders Clinic Courier Design Energy Films Foods Freight Gardens Labs Legal Logistics Mills Optics Press Studio Systems Works")
	seedVerb  = strings.Fields("Audit Build Draft Launch Migrate Move Plan Prepare Rebuild Renew Replace Review Simplify Test Translate")
	seedNoun  = strings.Fields("archive budget catalogue contract dashboard fleet handbook inventory website onboarding office payroll pricing roadmap warehouse")
)

func pick(random *rand.Rand, words []string) string { return words[random.IntN(len(words))] }

// organization is the nth with its people.
func (p seedPlan) organization(n int, random *rand.Rand) identity.Observation {
	created := p.now.Add(-time.Duration(1+random.IntN(700)) * 24 * time.Hour)
	id := fmt.Sprintf("org_seed%d_%06d", p.seed, n)
	firm := pick(random, seedFirm) + " " + pick(random, seedTrade)
	o := identity.Observation{Organizations: []identity.Organization{{
		ID: id, Name: firm, Slug: strings.ToLower(strings.ReplaceAll(firm, " ", "-")) + fmt.Sprintf("-%d", n),
		CreatedBy: seedUser(p.seed, n, 0), CreatedAt: created, UpdatedAt: created,
	}}}
	roles := []string{"org:admin", "org:member", "org:member", "org:viewer"}
	for k := range p.users {
		first, last := pick(random, seedFirst), pick(random, seedLast)
		joined := created.Add(time.Duration(random.Int64N(int64(p.now.Sub(created)))))
		role := roles[random.IntN(len(roles))]
		if k == 0 {
			joined, role = created, "org:admin"
		}
		account := seedUser(p.seed, n, k)
		o.Accounts = append(o.Accounts, identity.Account{
			ID: account, FirstName: first, LastName: last,
			Email:     fmt.Sprintf("%s.%s.%d.%d@seed.example", strings.ToLower(first), strings.ToLower(last), n, k),
			CreatedAt: joined, UpdatedAt: joined,
		})
		o.Memberships = append(o.Memberships, identity.Membership{
			ID: fmt.Sprintf("orgmem_seed%d_%06d_%d", p.seed, n, k), OrganizationID: id, AccountID: account, ProviderRole: role, CreatedAt: joined, UpdatedAt: joined,
		})
	}
	return o
}

// seedUser is the id of the kth person of the nth tenant.
func seedUser(seed uint64, n, k int) string { return fmt.Sprintf("user_seed%d_%06d_%d", seed, n, k) }

// copyProjects fills a schema that has no projects yet.
func (p seedPlan) copyProjects(ctx context.Context, pool *pgxpool.Pool, schema tenant.Schema, o identity.Observation, random *rand.Rand) error {
	table := pgx.Identifier{schema.String(), "projects"}
	var there bool
	if err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+table.Sanitize()+`)`).Scan(&there); err != nil || there {
		return err
	}
	columns := []string{"name", "slug", "description", "created_by", "is_public", "status", "created_at", "updated_at"}
	_, err := pool.CopyFrom(ctx, table, columns, pgx.CopyFromSlice(p.projects, func(i int) ([]any, error) {
		name := pick(random, seedVerb) + " the " + pick(random, seedNoun)
		member := random.IntN(len(o.Accounts))
		created := o.Organizations[0].CreatedAt.Add(time.Duration(random.Int64N(int64(p.now.Sub(o.Organizations[0].CreatedAt)))))
		status := "active"
		if random.IntN(5) == 0 {
			status = "archived"
		}
		return []any{
			name, strings.ToLower(strings.ReplaceAll(name, " ", "-")) + fmt.Sprintf("-%d", i), "Made by tenon seed.",
			o.Accounts[member].ID, random.IntN(3) == 0, status, created, created,
		}, nil
	}))
	return err
}
