package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/modules/identity"
	identitybun "github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	identityclerk "github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/fault"
)

// Exit codes of a reconciliation, which stops with exitPaused when it is
// interrupted.
const (
	exitRepaired  = 3 // there was drift, and none is left
	exitDriftLeft = 5 // drift is left
)

func identityCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "identity",
		Usage:        "keep tenants and members as Clerk has them",
		Commands:     []*cli.Command{reconcileCommand(s)},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// driftLine is drift for programs.
type driftLine struct {
	Kind           string `json:"kind"`
	OrganizationID string `json:"organization_id"`
	AccountID      string `json:"account_id"`
	Repaired       bool   `json:"repaired"`
	Reason         string `json:"reason"`
}

// reconciliationLine is the last line for programs.
type reconciliationLine struct {
	Organizations int  `json:"organizations"`
	Repaired      int  `json:"repaired"`
	Left          int  `json:"left"`
	Finished      bool `json:"finished"`
}

func reconcileCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "reconcile",
		Usage: "ask Clerk for everything, and repair what webhooks did not bring",
		Description: "Needs CLERK_SECRET_KEY, and CLERK_API_URL for another Clerk than the real one. Goes on where the last one was\n" +
			"interrupted, one process at a time; servers do it every night, see RECONCILE_HOUR. What is known here and newer stays.\n" +
			"While Clerk asks to wait, it waits.\n\n" +
			"Exit codes: 0 there was no drift; 3 there was, and it is repaired; 5 drift is left; 4 it was interrupted, and the same\n" +
			"command goes on; 1 it failed, and the same command goes on.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "only the tenant with this `SLUG|ID`, which may be an organization that has none yet"},
			&cli.BoolFlag{Name: "dry-run", Usage: "repair nothing"},
			&cli.BoolFlag{Name: "allow-deletions", Usage: "delete here what is not at Clerk even when that is most of what there is"},
			&cli.IntFlag{Name: "rate", Value: identityclerk.DefaultRate, Usage: "make at most `NUMBER` calls a second", Validator: func(rate int) error {
				if rate < 1 || rate > 1000 {
					return errors.New("want a number from 1 to 1000")
				}
				return nil
			}},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs; the last one sums up"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			const why = "it is Clerk that knows what should be"
			return withClerk(ctx, s, why, func(config clerk.BackendConfig, db *database.DB, tenants *tenancy.Service) error {
				directory := identitybun.NewDirectory(db)
				provider := identityclerk.NewProvider(identityclerk.Pace(clerk.NewBackend(&config), cmd.Int("rate")))
				sync := identity.NewSync(db, directory, identitybun.NewMembers(db), tenants)
				log := slog.New(slog.NewTextHandler(s.stderr, nil))
				r := identity.NewReconciler(directory, provider, sync, identitybun.NewReconciliations(db), rand.Text(), log)
				return reconcile(ctx, s, cmd, r, tenants)
			})
		},
	}
}

func reconcile(ctx context.Context, s surroundings, cmd *cli.Command, r *identity.Reconciler, tenants *tenancy.Service) error {
	encoder := json.NewEncoder(s.stdout)
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	report := newProgress(s.stderr)
	asJSON, headed := cmd.Bool("json"), false
	var result identity.Reconciliation
	options := identity.ReconcileOptions{
		DryRun: cmd.Bool("dry-run"), AllowDeletions: cmd.Bool("allow-deletions"),
		Found: func(d identity.Drift) {
			if asJSON {
				_ = encoder.Encode(driftLine{string(d.Kind), d.OrganizationID, d.AccountID, d.Repaired, d.Reason}) // the last line's error is looked at
				return
			}
			if !headed {
				fmt.Fprintln(table, "DRIFT\tORGANIZATION\tACCOUNT\tREPAIRED\tREASON")
			}
			headed = true
			fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%s\n", d.Kind, cmp.Or(printable(d.OrganizationID), "-"), cmp.Or(printable(d.AccountID), "-"), d.Repaired, printable(d.Reason))
		},
		Observe: func(now identity.ReconcileProgress) {
			report.show(now.Done, now.Total, fmt.Sprintf("%d repaired, %d left", now.Repaired, now.Left), fmt.Sprintf("%d repaired, %d left", now.Repaired, now.Left))
		},
	}
	var err error
	if name := cmd.String("tenant"); name != "" {
		result, err = reconcileTenant(ctx, r, tenants, name, options)
	} else {
		result, err = r.All(ctx, options)
	}
	report.finish()
	printed := table.Flush()
	if asJSON {
		printed = encoder.Encode(reconciliationLine{result.Organizations, result.Repaired, result.Left, err == nil})
	}
	fmt.Fprintf(s.stderr, "%s looked at, %d repaired, %d left.\n", count(result.Organizations), result.Repaired, result.Left)
	switch {
	case err != nil && ctx.Err() != nil:
		return cli.Exit("interrupted; the same command goes on", exitPaused)
	case err != nil:
		return err
	case printed != nil:
		return printed
	case result.Left > 0:
		return cli.Exit("", exitDriftLeft)
	case result.Repaired > 0:
		return cli.Exit("", exitRepaired)
	}
	return nil
}

func reconcileTenant(ctx context.Context, r *identity.Reconciler, tenants *tenancy.Service, name string, options identity.ReconcileOptions) (result identity.Reconciliation, err error) {
	id := name
	switch t, err := tenants.Resolve(ctx, name); {
	case err == nil:
		id = t.ID
	case !fault.Is(err, fault.NotFound):
		return result, err
	}
	drifts, err := r.Tenant(ctx, id, options)
	for _, d := range drifts {
		if d.Repaired {
			result.Repaired++
		} else {
			result.Left++
		}
	}
	switch {
	case fault.Is(err, fault.NotFound):
		return result, cli.Exit(fmt.Sprintf("there is no tenant and no organization %q; see `tenon tenants list`", name), exitFailed)
	case err == nil:
		result.Organizations = 1
	}
	return result, err
}
