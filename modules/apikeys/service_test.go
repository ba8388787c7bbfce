package apikeys_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/apikeys/adapters/memory"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/tenant"
)

// world is the service over memory, and a tenant.
type world struct {
	*apikeys.Service
	repository *memory.Repository
	index      *countingIndex
	ctx        context.Context
}

// countingIndex counts what it is asked to write about uses.
type countingIndex struct {
	*memory.Index
	touches int
	err     error
}

func (x *countingIndex) Touch(ctx context.Context, id string, at time.Time) error {
	x.touches++
	if x.err != nil {
		return x.err
	}
	return x.Index.Touch(ctx, id, at)
}

var acme = tenancy.Tenant{ID: "org_acme", Name: "Acme", Slug: tenancy.MustParseSlug("acme"), Schema: tenant.MustParse("tenant_acme"), Active: true}

func newWorld(t *testing.T) world {
	t.Helper()
	repository, index := memory.NewRepository(), &countingIndex{Index: memory.NewIndex()}
	return world{
		Service:    apikeys.NewService(memtx.New(repository, index), repository, index, slog.New(slog.DiscardHandler)),
		repository: repository, index: index, ctx: tenant.NewContext(t.Context(), acme.Schema),
	}
}

func accessOf(role identity.Role) identity.Access {
	return identity.Access{
		Session: identity.Session{AccountID: "user_" + string(role)}, Tenant: acme,
		Member: identity.Member{ID: "user_" + string(role), Role: role, IsActive: true},
	}
}

// byKey is how a request with a key of somebody of the role gets in.
func byKey(role identity.Role, permissions ...identity.Permission) identity.Access {
	access := accessOf(role)
	access.Session.Key = &identity.Key{ID: "KEY", TenantID: acme.ID, Permissions: permissions}
	return access
}

func draft(permissions ...identity.Permission) apikeys.Draft {
	d := apikeys.Draft{Name: "Export"}
	for _, permission := range permissions {
		d.Permissions = append(d.Permissions, string(permission))
	}
	return d
}

// TestPermissions holds every use case against every role, and against keys of an
// owner's.
func TestPermissions(t *testing.T) {
	t.Parallel()
	all := identity.Permissions()
	for name, test := range map[string]struct {
		access         identity.Access
		manage, create bool
	}{
		"owner":               {accessOf(identity.RoleOwner), true, true},
		"admin":               {accessOf(identity.RoleAdmin), true, true},
		"member":              {accessOf(identity.RoleMember), false, false},
		"viewer":              {accessOf(identity.RoleViewer), false, false},
		"nobody":              {identity.Access{Tenant: acme}, false, false},
		"a key with all":      {byKey(identity.RoleOwner, all...), true, false},
		"a key with one":      {byKey(identity.RoleOwner, identity.ProjectsViewAll), false, false},
		"a key of a viewer's": {byKey(identity.RoleViewer, all...), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made, _, err := w.Create(w.ctx, accessOf(identity.RoleOwner), draft(identity.ProjectsViewAll))
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, err error, may bool) {
				t.Helper()
				if may && err != nil || !may && !fault.Is(err, fault.Forbidden) {
					t.Errorf("%s: %v", what, err)
				}
			}
			_, err = w.List(w.ctx, test.access)
			check("list", err, test.manage)
			_, err = w.Key(w.ctx, test.access, made.ID)
			check("get", err, test.manage)
			_, _, err = w.Create(w.ctx, test.access, draft(identity.ProjectsViewPublic))
			check("create", err, test.create)
			_, _, err = w.Create(w.ctx, test.access, apikeys.Draft{}) // 403 comes before 422
			if test.create != fault.Is(err, fault.Invalid) {
				t.Errorf("create nothing: %v", err)
			}
			_, err = w.Revoke(w.ctx, test.access, made.ID)
			check("revoke", err, test.manage)
		})
	}
}

func TestDrafts(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("ä", apikeys.MaxNameLength)
	for name, test := range map[string]struct {
		role   identity.Role
		draft  apikeys.Draft
		fields []string // that are refused
	}{
		"least":                   {identity.RoleOwner, draft(identity.ProjectsViewPublic), nil},
		"everything of an owner":  {identity.RoleOwner, draft(identity.Permissions()...), nil},
		"more than an admin has":  {identity.RoleAdmin, draft(identity.Permissions()...), []string{"permissions"}},
		"nothing":                 {identity.RoleOwner, apikeys.Draft{}, []string{"name", "permissions"}},
		"no permission":           {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"everything"}}, []string{"permissions"}},
		"one of them is none":     {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"users:view", "'; DROP"}}, []string{"permissions"}},
		"one twice":               {identity.RoleOwner, draft(identity.UsersView, identity.UsersView), nil},
		"a long name":             {identity.RoleOwner, apikeys.Draft{Name: many, Permissions: []string{"users:view"}}, nil},
		"a longer name":           {identity.RoleOwner, apikeys.Draft{Name: many + "x", Permissions: []string{"users:view"}}, []string{"name"}},
		"a name of 1 MB":          {identity.RoleOwner, apikeys.Draft{Name: strings.Repeat("x", 1<<20), Permissions: []string{"users:view"}}, []string{"name"}},
		"a name of two lines":     {identity.RoleOwner, apikeys.Draft{Name: "a\nb", Permissions: []string{"users:view"}}, []string{"name"}},
		"a name that is no text":  {identity.RoleOwner, apikeys.Draft{Name: "a\xff", Permissions: []string{"users:view"}}, []string{"name"}},
		"a name that turns round": {identity.RoleOwner, apikeys.Draft{Name: "a\u202eb", Permissions: []string{"users:view"}}, []string{"name"}},
		"the longest life":        {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"users:view"}, Lifetime: 366}, nil},
		"a longer life":           {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"users:view"}, Lifetime: 367}, []string{"expires_in_days"}},
		"a life in the past":      {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"users:view"}, Lifetime: -1}, []string{"expires_in_days"}},
		"an endless life":         {identity.RoleOwner, apikeys.Draft{Name: "x", Permissions: []string{"users:view"}, Lifetime: 1 << 62}, []string{"expires_in_days"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key, token, err := w.Create(w.ctx, accessOf(test.role), test.draft)
			if test.fields != nil {
				var fields []string
				for _, field := range fault.As(err).Fields {
					fields = append(fields, field.Name)
				}
				if !fault.Is(err, fault.Invalid) || !slices.Equal(fields, test.fields) || token != (apikeys.Token{}) {
					t.Errorf("got %v, %q", err, fields)
				}
				if left, _ := w.List(w.ctx, accessOf(test.role)); len(left) != 0 {
					t.Errorf("%v is left", left)
				}
				return
			}
			if err != nil || key.ID != token.ID() || key.Name != strings.TrimSpace(test.draft.Name) || key.CreatedBy != "user_"+string(test.role) ||
				!key.ExpiresAt.After(key.CreatedAt) || key.ExpiresAt.After(key.CreatedAt.AddDate(0, 0, apikeys.MaxLifetime)) {
				t.Errorf("got %+v, %v", key, err)
			}
			session, err := w.Authenticate(t.Context(), token.Reveal())
			if err != nil || session.AccountID != key.CreatedBy || session.Key.TenantID != acme.ID || !slices.Equal(session.Key.Permissions, key.Permissions) {
				t.Errorf("got %+v, %v", session, err)
			}
		})
	}
}

func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	w, owner := newWorld(t), accessOf(identity.RoleOwner)
	var last apikeys.Key
	for range apikeys.MaxKeys {
		var err error
		if last, _, err = w.Create(w.ctx, owner, draft(identity.UsersView)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Create(w.ctx, owner, draft(identity.UsersView)); !errors.Is(err, apikeys.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	if _, err := w.Revoke(w.ctx, owner, last.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Create(w.ctx, owner, draft(identity.UsersView)); err != nil {
		t.Errorf("after one was revoked: %v", err)
	}
}

// TestAKeysLife follows a key until it expires, and another until it is revoked.
func TestAKeysLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, owner := newWorld(t), accessOf(identity.RoleOwner)
		d := draft(identity.UsersView)
		d.Lifetime = 1
		key, token, err := w.Create(w.ctx, owner, d)
		if err != nil {
			t.Fatal(err)
		}
		_, other, err := w.Create(w.ctx, owner, d)
		if err != nil {
			t.Fatal(err)
		}
		authenticate := func(what, text string, want error) {
			t.Helper()
			session, err := w.Authenticate(t.Context(), text)
			if !errors.Is(err, want) || want != nil && session != (identity.Session{}) {
				t.Errorf("%s: %+v, %v", what, session, err)
			}
		}
		forged := other.Reveal()
		forged = "tenon_" + token.ID() + forged[len("tenon_"+token.ID()):]
		authenticate("the id of one and the secret of another", forged, apikeys.ErrInvalidToken)
		authenticate("somebody else's", apikeys.NewToken().Reveal(), apikeys.ErrInvalidToken)

		// A hundred uses cost one write, and another one five minutes later.
		for range 100 {
			authenticate("used", token.Reveal(), nil)
		}
		if w.index.touches != 1 {
			t.Errorf("%d writes for 100 uses", w.index.touches)
		}
		used, err := w.Key(w.ctx, owner, key.ID)
		if err != nil || !used.LastUsedAt.Equal(time.Now()) {
			t.Errorf("last used %v, %v", used.LastUsedAt, err)
		}
		time.Sleep(5 * time.Minute)
		authenticate("used later", token.Reveal(), nil)
		if w.index.touches != 2 {
			t.Errorf("%d writes", w.index.touches)
		}
		w.index.err = errors.New("the disk is full")
		time.Sleep(5 * time.Minute)
		authenticate("used while uses cannot be written", token.Reveal(), nil)

		if _, err := w.Revoke(w.ctx, owner, other.ID()); err != nil {
			t.Fatal(err)
		}
		authenticate("revoked", other.Reveal(), apikeys.ErrInvalidToken)
		if _, err := w.Revoke(w.ctx, owner, other.ID()); !errors.Is(err, apikeys.ErrNotFound) {
			t.Errorf("revoked again: %v", err)
		}
		time.Sleep(24*time.Hour - 10*time.Minute - time.Nanosecond)
		authenticate("in its last moment", token.Reveal(), nil)
		time.Sleep(time.Microsecond)
		authenticate("expired", token.Reveal(), apikeys.ErrInvalidToken)
		listed, err := w.List(w.ctx, owner)
		if err != nil || len(listed) != 1 || !listed[0].Expired(time.Now()) {
			t.Errorf("%+v, %v", listed, err)
		}
	})
}

// TestHalfAKeyIsNone fails in the middle of making a key and of revoking one.
func TestHalfAKeyIsNone(t *testing.T) {
	t.Parallel()
	w, owner := newWorld(t), accessOf(identity.RoleOwner)
	broken := apikeys.NewService(memtx.New(w.repository, w.index), w.repository, brokenIndex{w.index}, slog.New(slog.DiscardHandler))
	if _, _, err := broken.Create(w.ctx, owner, draft(identity.UsersView)); !errors.Is(err, errBroken) {
		t.Errorf("create: %v", err)
	}
	key, token, err := w.Create(w.ctx, owner, draft(identity.UsersView))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Revoke(w.ctx, owner, key.ID); !errors.Is(err, errBroken) {
		t.Errorf("revoke: %v", err)
	}
	if listed, err := w.List(w.ctx, owner); err != nil || len(listed) != 1 || listed[0].ID != key.ID {
		t.Errorf("%+v, %v", listed, err)
	}
	if _, err := w.Authenticate(t.Context(), token.Reveal()); err != nil {
		t.Errorf("the key that is listed: %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenIndex struct{ apikeys.Index }

func (brokenIndex) Insert(context.Context, apikeys.Entry) error  { return errBroken }
func (brokenIndex) Delete(context.Context, string, string) error { return errBroken }
