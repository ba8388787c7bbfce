package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/urfave/cli/v3"

	"github.com/tenonhq/tenon/modules/identity"
	identitybun "github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	identityclerk "github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/database"
)

// organizations makes and deletes organizations at Clerk, and what follows from
// it here by the very use case that webhooks end in, so that nobody waits for
// one.
type organizations struct {
	client   *organization.Client
	users    *user.Client
	provider *identityclerk.Provider
	sync     *identity.Sync
	tenants  *tenancy.Service
}

// withClerk gives a command Clerk's Backend API and the database, by the variables
// that `tenon serve` takes, or those of a running `tenon dev`. why says what Clerk
// is needed for.
func withClerk(ctx context.Context, s surroundings, why string, work func(config clerk.BackendConfig, db *database.DB, tenants *tenancy.Service) error) error {
	key, address := variable(s.environ, "CLERK_SECRET_KEY"), variable(s.environ, "CLERK_API_URL")
	if key == "" {
		return usageError("CLERK_SECRET_KEY is missing: %s; `tenon dev --json` prints the emulator's, and its CLERK_API_URL", why)
	}
	if address == "" {
		address = "https://api.clerk.com"
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return usageError("CLERK_API_URL is not valid; want an http or https origin, such as https://api.clerk.com")
	}
	config := clerk.BackendConfig{
		URL: clerk.String(address + "/v1"), Key: &key, HTTPClient: &http.Client{Timeout: 10 * time.Second},
	}
	return withOperator(ctx, s, func(o operator) error { return work(config, o.db, o.tenancy()) })
}

// withOrganizations gives a command the organizations at Clerk.
func withOrganizations(ctx context.Context, s surroundings, work func(organizations) error) error {
	const why = "organizations are made and deleted at Clerk"
	return withClerk(ctx, s, why, func(config clerk.BackendConfig, db *database.DB, tenants *tenancy.Service) error {
		return work(organizations{
			client:   organization.NewClient(&clerk.ClientConfig{BackendConfig: config}),
			users:    user.NewClient(&clerk.ClientConfig{BackendConfig: config}),
			provider: identityclerk.NewProvider(clerk.NewBackend(&config)),
			tenants:  tenants,
			sync:     identity.NewSync(db, identitybun.NewDirectory(db), identitybun.NewMembers(db), tenants),
		})
	})
}

func createTenantCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:  "create",
		Usage: "make an organization at Clerk, and its tenant",
		Description: "Needs CLERK_SECRET_KEY, and CLERK_API_URL for another Clerk than the real one. The owner has an account there already.\n" +
			"A slug that is taken or reserved here becomes one that is made for the organization.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "the organization's `NAME`", Required: true},
			&cli.StringFlag{Name: "slug", Usage: "its `SLUG`; Clerk makes one from the name without it"},
			&cli.StringFlag{Name: "owner", Usage: "the `EMAIL` of its owner's account", Required: true},
		},
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withOrganizations(ctx, s, func(o organizations) error {
				made, err := o.create(ctx, cmd.String("name"), cmd.String("slug"), cmd.String("owner"))
				if err != nil {
					return err
				}
				return printTenant(s, made)
			})
		},
	}
}

func (o organizations) create(ctx context.Context, name, slug, owner string) (tenancy.Tenant, error) {
	found, err := o.users.List(ctx, &user.ListParams{EmailAddresses: []string{owner}})
	if err != nil {
		return tenancy.Tenant{}, fmt.Errorf("look up the owner at Clerk: %w", err)
	}
	if len(found.Users) != 1 {
		return tenancy.Tenant{}, cli.Exit(fmt.Sprintf("%d accounts at Clerk have the address %q, want one", len(found.Users), owner), exitFailed)
	}
	params := &organization.CreateParams{Name: &name, CreatedBy: &found.Users[0].ID}
	if slug != "" {
		params.Slug = &slug
	}
	made, err := o.client.Create(ctx, params)
	if err != nil {
		return tenancy.Tenant{}, fmt.Errorf("make the organization at Clerk: %w", err)
	}
	observed, err := o.provider.Observe(ctx, made.ID, found.Users[0].ID)
	if err == nil {
		err = o.sync.Apply(ctx, observed)
	}
	if err != nil {
		return tenancy.Tenant{}, fmt.Errorf("the organization %s is made at Clerk, and its tenant comes with its webhook or first visit; here: %w", made.ID, err)
	}
	return o.tenants.Get(ctx, made.ID)
}

// delete deletes the organization at Clerk and suspends its tenant at once; the
// data is purged after the grace period.
func (o organizations) delete(ctx context.Context, t tenancy.Tenant) (tenancy.Tenant, error) {
	if _, err := o.client.Delete(ctx, t.ID); err != nil && !isStatus(err, http.StatusNotFound) { // is gone already
		return tenancy.Tenant{}, fmt.Errorf("delete the organization at Clerk: %w", err)
	}
	now := time.Now()
	gone := identity.Organization{ID: t.ID, CreatedAt: now, UpdatedAt: now, DeletedAt: now}
	if err := o.sync.Apply(ctx, identity.Observation{Organizations: []identity.Organization{gone}}); err != nil {
		return tenancy.Tenant{}, err
	}
	return o.tenants.Get(ctx, t.ID)
}

func deleteTenantCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "delete an organization at Clerk; its tenant is suspended at once and purged later",
		ArgsUsage: "SLUG|ID",
		Description: "Needs CLERK_SECRET_KEY, and CLERK_API_URL for another Clerk than the real one. The tenant's data is kept until\n" +
			"TENANT_PURGE_AFTER is over.",
		Flags:        []cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "do it; without this flag nothing is deleted"}},
		OnUsageError: onUsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usageError("%s wants a tenant's slug or id; see `%s --help`", cmd.FullName(), cmd.FullName())
			}
			if !cmd.Bool("yes") {
				return usageError("%s deletes an organization at Clerk; say --yes to do it", cmd.FullName())
			}
			return withOrganizations(ctx, s, func(o organizations) error {
				found, err := findTenant(ctx, o.tenants, cmd.Args().First())
				if err == nil {
					found, err = o.delete(ctx, found)
				}
				if err != nil {
					return err
				}
				return printTenant(s, found)
			})
		},
	}
}
