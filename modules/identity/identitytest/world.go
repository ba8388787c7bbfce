// Package identitytest holds what every implementation of identity's ports has
// to pass, and histories of a provider to run use cases with.
package identitytest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	auditmemory "github.com/tenonhq/tenon/modules/audit/adapters/memory"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
	"github.com/tenonhq/tenon/modules/tenancy"
	tenancymemory "github.com/tenonhq/tenon/modules/tenancy/adapters/memory"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

// World is the tenancy and identity modules over their in-memory adapters.
type World struct {
	Registry  *tenancymemory.Registry
	Schemas   *tenancymemory.Schemas
	Directory *memory.Directory
	Members   *memory.Members
	Inbox     *memory.Inbox
	Provider  *memory.Provider
	Ledger    *memory.Reconciliations
	Log       *auditmemory.Log
	Tx        *memtx.Transactor

	Tenants  *tenancy.Service
	Sync     *identity.Sync
	Service  *identity.Service
	Roster   *identity.Roster
	Settings *identity.Settings
	// Founding makes first projects in Projects.
	Founding *identity.Founding
	Projects *FirstProjects
	// Reconciler asks the same provider.
	Reconciler *identity.Reconciler
}

// NewWorld returns a world in which nothing has happened.
func NewWorld() *World {
	w := newWorld()
	for _, store := range []memtx.Store{w.Registry, w.Schemas, w.Directory, w.Members, w.Inbox, w.Log} {
		w.Tx.Join(store)
	}
	return w
}

// NewSteadyWorld returns one whose transactions undo nothing, for histories in
// which none fails: to remember everything at the start of each is what a long
// one would spend its time on.
func NewSteadyWorld() *World { return newWorld() }

func newWorld() *World {
	w := &World{
		Registry: tenancymemory.NewRegistry(), Schemas: tenancymemory.NewSchemas(),
		Directory: memory.NewDirectory(), Members: memory.NewMembers(), Inbox: memory.NewInbox(), Provider: memory.NewProvider(),
		Ledger: memory.NewReconciliations(), Log: auditmemory.NewLog(),
	}
	w.Tx = memtx.New()
	w.Tenants = tenancy.NewService(w.Registry, w.Schemas, w.Tx)
	w.Sync = identity.NewSync(w.Tx, w.Directory, w.Members, w.Tenants)
	w.Service = identity.NewService(w.Tenants, w.Directory, w.Members, w.Provider, w.Sync, slog.New(slog.DiscardHandler))
	w.Roster = identity.NewRoster(w.Tx, w.Directory, w.Members, w.Provider, w.Sync, w.Log)
	w.Settings = identity.NewSettings(w.Tenants, w.Provider, w.Sync)
	w.Projects = &FirstProjects{}
	w.Founding = identity.NewFounding(w.Tenants, w.Directory, w.Provider, w.Sync, w.Service, w.Projects)
	w.Reconciler = identity.NewReconciler(w.Directory, w.Provider, w.Sync, w.Ledger, rand.Text(), slog.New(slog.DiscardHandler))
	return w
}

// State is the outcome of a history: every live tenant by its organization's
// id, with its users.
type State map[string]TenantState

// TenantState is one tenant in a [State].
type TenantState struct {
	Name, Slug string
	Users      []identity.User
}

// State reads the world's. A tenant whose organization was deleted is left out:
// whether it was ever provisioned depends on what came first, and nobody gets
// into it either way.
func (w *World) State(ctx context.Context) (State, error) {
	return ReadState(ctx, w.Tenants, w.Members)
}

// ReadState reads the state of any world; see [World.State].
func ReadState(ctx context.Context, service *tenancy.Service, users identity.Members) (State, error) {
	tenants, err := service.List(ctx, tenancy.Slug{}, 1_000_000)
	if err != nil {
		return nil, err
	}
	state := State{}
	for _, t := range tenants {
		if t.Deleted() {
			continue
		}
		members, err := users.All(tenant.NewContext(ctx, t.Schema))
		if err != nil {
			return nil, err
		}
		summary := TenantState{Name: t.Name, Slug: t.Slug.String()}
		for _, m := range members {
			summary.Users = append(summary.Users, identity.User{
				ID: m.ID, Email: m.Email, FirstName: m.FirstName, LastName: m.LastName, AvatarURL: m.AvatarURL, Phone: m.Phone,
				TwoFactor: m.Metadata.TwoFactor, Role: m.Role, Active: m.IsActive, EmailSuperseded: m.Metadata.EmailSuperseded, JoinedAt: m.JoinedAt,
			})
		}
		state[t.ID] = summary
	}
	return state, nil
}

// FirstProjects is an [identity.FirstProject] that remembers what was made.
type FirstProjects struct {
	mu    sync.Mutex
	fails error
	made  []string
}

// Fail makes the next project fail with err, or none with nil.
func (f *FirstProjects) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

// Made returns every project as "schema: account: name".
func (f *FirstProjects) Made() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.made)
}

// Check implements [identity.FirstProject].
func (f *FirstProjects) Check(name string) error {
	if len(name) > 120 {
		return fault.InvalidFields(fault.Field{Name: "project", Message: "Use at most 120 characters."})
	}
	return nil
}

// Create implements [identity.FirstProject].
func (f *FirstProjects) Create(ctx context.Context, actor identity.Actor, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	schema, ok := tenant.FromContext(ctx)
	if !ok {
		return fault.New(fault.Internal, "no tenant")
	}
	if f.fails != nil {
		return f.fails
	}
	if made := fmt.Sprintf("%s: %s: %s", schema, actor.AccountID, name); !slices.Contains(f.made, made) {
		f.made = append(f.made, made)
	}
	return nil
}
