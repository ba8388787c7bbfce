package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
)

func tenantsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "tenants",
		Usage: "see and switch the tenants there are",
		Description: "Works on DATABASE_URL; without it, on the database of `tenon dev`. Organizations live at Clerk: what happens to\n" +
			"them there arrives by itself, and create and delete happen there first.",
		Commands: []*cli.Command{
			listTenantsCommand(s),
			tenantCommand(s, "show", "show everything the registry knows of a tenant", "", showTenant),
			tenantCommand(s, "suspend", "let nobody into a tenant; nothing of it is lost",
				"Its members are told so, everybody else finds nothing. Running requests finish.", suspendTenant),
			tenantCommand(s, "activate", "let the members of a suspended tenant in again",
				"A tenant whose organization was deleted stays suspended.", activateTenant),
			createTenantCommand(s),
			deleteTenantCommand(s),
			purgeTenantsCommand(s),
			rolesCommand(s),
		},
		OnUsageError: onUsageError,
		Action:       chooseCommand,
	}
}

// withTenancy gives a command the tenants' use cases.
func withTenancy(ctx context.Context, s surroundings, work func(service *tenancy.Service) error) error {
	return withOperator(ctx, s, func(o operator) error { return work(o.tenancy()) })
}

// tenantState is what a tenant is, in a word.
func tenantState(t tenancy.Tenant) string {
	switch {
	case t.Deleted():
		return "deleted"
	case !t.Active:
		return "suspended"
	}
	return "active"
}

// tenantLine is a tenant for programs.
type tenantLine struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Slug          string     `json:"slug"`
	RequestedSlug string     `json:"requested_slug"`
	Schema        string     `json:"schema_name"`
	State         string     `json:"state"`
	CreatedAt     time.Time  `json:"created_at"`
	SuspendedAt   *time.Time `json:"suspended_at"`
	DeletedAt     *time.Time `json:"deleted_at"`
}

func lineOf(t tenancy.Tenant) tenantLine {
	return tenantLine{
		ID: t.ID, Name: t.Name, Slug: t.Slug.String(), RequestedSlug: t.RequestedSlug, Schema: t.Schema.String(), State: tenantState(t),
		CreatedAt: t.CreatedAt.UTC(), SuspendedAt: timeOrNil(t.SuspendedAt), DeletedAt: timeOrNil(t.DeletedAt),
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func listTenantsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list every tenant, ordered by slug",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "state", Usage: "only those that are `active, suspended or deleted`", Validator: func(state string) error {
				switch state {
				case "", "active", "suspended", "deleted":
					return nil
				}
				return fmt.Errorf("want active, suspended or deleted")
			}},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line, for programs"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withTenancy(ctx, s, func(service *tenancy.Service) error {
				table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
				lines := json.NewEncoder(s.stdout)
				if !cmd.Bool("json") {
					fmt.Fprintln(table, "SLUG\tNAME\tSTATE\tSCHEMA\tID")
				}
				err := service.Each(ctx, func(t tenancy.Tenant) error {
					if state := cmd.String("state"); state != "" && state != tenantState(t) {
						return nil
					}
					if cmd.Bool("json") {
						return lines.Encode(lineOf(t))
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.Slug, printable(t.Name), tenantState(t), t.Schema, t.ID)
					return nil
				})
				if err != nil {
					return err
				}
				return table.Flush()
			})
		},
	}
}

// printable makes what people named something fit for a terminal.
func printable(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

// tenantCommand does something with one tenant, named by its slug or by its
// organization's id.
func tenantCommand(s surroundings, name, usage, description string, do func(ctx context.Context, service *tenancy.Service, t tenancy.Tenant) (tenancy.Tenant, error)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Description: description, ArgsUsage: "SLUG|ID",
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usageError("%s wants a tenant's slug or id; see `%s --help`", cmd.FullName(), cmd.FullName())
			}
			return withTenancy(ctx, s, func(service *tenancy.Service) error {
				found, err := findTenant(ctx, service, cmd.Args().First())
				if err == nil {
					found, err = do(ctx, service, found)
				}
				if err != nil {
					return err
				}
				return printTenant(s, found)
			})
		},
	}
}

// findTenant returns the tenant with a slug or an organization's id.
func findTenant(ctx context.Context, service *tenancy.Service, name string) (tenancy.Tenant, error) {
	found, err := service.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		found, err = service.Resolve(ctx, name)
	}
	if fault.Is(err, fault.NotFound) {
		return tenancy.Tenant{}, cli.Exit(fmt.Sprintf("there is no tenant with the slug or id %q; see `tenon tenants list`", name), exitFailed)
	}
	return found, err
}

func printTenant(s surroundings, t tenancy.Tenant) error {
	encoder := json.NewEncoder(s.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(lineOf(t))
}

func showTenant(_ context.Context, _ *tenancy.Service, t tenancy.Tenant) (tenancy.Tenant, error) {
	return t, nil
}

func suspendTenant(ctx context.Context, service *tenancy.Service, t tenancy.Tenant) (tenancy.Tenant, error) {
	return service.Suspend(ctx, t.ID)
}

func activateTenant(ctx context.Context, service *tenancy.Service, t tenancy.Tenant) (tenancy.Tenant, error) {
	return service.Resume(ctx, t.ID)
}

func purgeTenantsCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "purge",
		Usage: "destroy the data of organizations that were deleted a while ago",
		Description: "The server does this by itself once TENANT_PURGE_AFTER is over. What is interrupted is finished by the next run.\n" +
			"There is no way back but a backup.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "after", Value: 30 * 24 * time.Hour, Usage: "keep what was deleted less than `DURATION` ago", Validator: func(d time.Duration) error {
				if d < 0 {
					return fmt.Errorf("want a duration such as 720h")
				}
				return nil
			}},
			&cli.BoolFlag{Name: "yes", Usage: "do it; without this flag nothing is destroyed"},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Bool("yes") {
				return usageError("tenon tenants purge destroys data for good; say --yes to do it")
			}
			return withTenancy(ctx, s, func(service *tenancy.Service) error {
				purged, err := service.Purge(ctx, time.Now().Add(-cmd.Duration("after")))
				for _, t := range purged {
					fmt.Fprintf(s.stdout, "%s\t%s\t%s\n", t.Slug, t.Schema, t.ID)
				}
				fmt.Fprintf(s.stderr, "%d tenants purged.\n", len(purged))
				return err
			})
		},
	}
}
