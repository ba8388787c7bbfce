package audit_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/audit/adapters/memory"
	"github.com/tenonhq/tenon/modules/audit/audittest"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	tenancymemory "github.com/tenonhq/tenon/modules/tenancy/adapters/memory"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/memtx"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newService(t *testing.T, entries int) (*audit.Service, context.Context) {
	t.Helper()
	log := memory.NewLog()
	ctx := tenant.NewContext(t.Context(), tenant.MustParse("tenant_a"))
	for i := range entries {
		must(t, log.Record(origin.Acting(ctx, origin.Person, "user_1"), "project.created", fmt.Sprint(i), nil))
	}
	return audit.NewService(log), ctx
}

var owner = identity.Actor{AccountID: "user_1", Role: identity.RoleOwner}

func TestPermissions(t *testing.T) {
	t.Parallel()
	service, ctx := newService(t, 1)
	key := func(permissions ...identity.Permission) identity.Actor {
		return identity.Actor{Role: identity.RoleOwner, Key: &identity.Key{Permissions: permissions}}
	}
	for name, test := range map[string]struct {
		actor   identity.Actor
		allowed bool
	}{
		"owner":       {owner, true},
		"admin":       {identity.Actor{Role: identity.RoleAdmin}, true},
		"member":      {identity.Actor{Role: identity.RoleMember}, false},
		"viewer":      {identity.Actor{Role: identity.RoleViewer}, false},
		"nobody":      {identity.Actor{}, false},
		"key":         {key(identity.AuditView), true},
		"another key": {key(identity.ProjectsViewAll), false},
	} {
		_, listErr := service.List(ctx, test.actor, audit.Listing{Limit: -1})
		_, getErr := service.Get(ctx, test.actor, 99)
		eachErr := service.Each(ctx, test.actor, audit.Filter{Action: "nothing"}, nil)
		_, activityErr := service.Activity(ctx, test.actor, 1)
		for what, err := range map[string]error{"list": listErr, "get": getErr, "each": eachErr, "activity": activityErr} {
			// Who may not is told so before anything else.
			if fault.Is(err, fault.Forbidden) == test.allowed {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
}

func TestListingsThatAreWrong(t *testing.T) {
	t.Parallel()
	service, ctx := newService(t, 0)
	now := time.Now()
	long := strings.Repeat("x", 201)
	for field, listings := range map[string][]audit.Listing{
		"actor":   {{Filter: audit.Filter{Actor: long}}, {Filter: audit.Filter{Actor: "a\x00"}}, {Filter: audit.Filter{Actor: "\xff"}}},
		"action":  {{Filter: audit.Filter{Action: "x"}}, {Filter: audit.Filter{Action: "project."}}, {Filter: audit.Filter{Action: "project.\n"}}, {Filter: audit.Filter{Action: "project." + long}}},
		"subject": {{Filter: audit.Filter{Subject: "\x07"}}},
		"until":   {{Filter: audit.Filter{From: now, Until: now}}},
		"before":  {{Before: -1}},
		"limit":   {{Limit: -1}, {Limit: audit.MaxLimit + 1}},
	} {
		for _, listing := range listings {
			_, err := service.List(ctx, owner, listing)
			if !fault.Is(err, fault.Invalid) || len(fault.As(err).Fields) != 1 || fault.As(err).Fields[0].Name != field {
				t.Errorf("%+v: %v", listing, err)
			}
		}
	}
}

func TestPagesAndEach(t *testing.T) {
	t.Parallel()
	service, ctx := newService(t, 450)
	page, err := service.List(ctx, owner, audit.Listing{})
	must(t, err)
	if len(page.Entries) != audit.DefaultLimit || page.Next != page.Entries[len(page.Entries)-1].Seq {
		t.Errorf("%d entries, next %d", len(page.Entries), page.Next)
	}
	next := int64(450)
	must(t, service.Each(ctx, owner, audit.Filter{}, func(e audit.Entry) error {
		if e.Seq != next {
			t.Fatalf("entry %d, want %d", e.Seq, next)
		}
		next--
		return nil
	}))
	if next != 0 {
		t.Errorf("%d entries are left", next)
	}
	stop := errors.New("stop")
	if err := service.Each(ctx, owner, audit.Filter{}, func(audit.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	days, err := service.Activity(ctx, owner, 7)
	if err != nil || len(days) != 7 || days[5].Changes+days[6].Changes != 450 || !days[6].Date.After(days[5].Date) {
		t.Errorf("%+v, %v", days, err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "0001-01-01T00:00:00Z", "2026-01-31": "2026-01-31T00:00:00Z", " 2026-01-31T12:00:00+01:00 ": "2026-01-31T11:00:00Z",
	} {
		if got, err := audit.ParseTime("from", text); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "1969-12-31", "9999-01-01", "2026-02-30", "2026-01-31 12:00", "-1"} {
		if _, err := audit.ParseTime("from", text); !fault.Is(err, fault.Invalid) || fault.As(err).Fields[0].Name != "from" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key, text := audit.NewKey()
	parsed, err := audit.ParseKey(text)
	if err != nil || !parsed.Equal(key) {
		t.Errorf("%v", err)
	}
	public, err := audit.ParsePublicKey(audit.PublicKeyText(audit.PublicKeyOf(key)))
	if err != nil || !public.Equal(key.Public()) {
		t.Errorf("%v", err)
	}
	for _, wrong := range []string{"", "x", "c2hvcnQ=", text + text, text + "\n"} {
		_, keyErr := audit.ParseKey(wrong)
		_, publicErr := audit.ParsePublicKey(wrong)
		if keyErr == nil || publicErr == nil {
			t.Errorf("%q is a key", wrong)
		}
	}
}

// cutLog is one that another process cuts whenever this one is about to read entries.
type cutLog struct {
	audit.Log
	cut func()
}

func (l cutLog) After(ctx context.Context, seq int64, limit int) ([]audit.Entry, error) {
	l.cut()
	return l.Log.After(ctx, seq, limit)
}

// TestVerifyWhileOthersCut takes what is cut off for that, whenever it happens, and what
// is missing for missing.
func TestVerifyWhileOthersCut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cuts, entries, problems int // how many cuts, of how many entries each
		by                      ed25519.PrivateKey
	}{
		"some":             {1, 3, 0, audittest.Key},
		"everything":       {1, 5, 0, audittest.Key},
		"again":            {2, 2, 0, audittest.Key},
		"by a stranger":    {1, 3, 1, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))},
		"without an end":   {5, 1, 1, audittest.Key},
		"without a cutter": {0, 0, 0, audittest.Key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := memory.NewLog()
				ctx := tenant.NewContext(t.Context(), tenant.MustParse("tenant_a"))
				for i := range 5 {
					time.Sleep(time.Second)
					must(t, log.Record(ctx, "project.created", fmt.Sprint(i), nil))
				}
				entries, err := log.After(ctx, 0, 10)
				must(t, err)
				cut := 0
				cutting := cutLog{log, func() {
					if cut < test.cuts {
						cut++
						_, err := audit.NewCutter(log, test.by).Cut(ctx, entries[cut*test.entries-1].At.Add(time.Microsecond))
						must(t, err)
					}
				}}
				found, err := audit.Verify(ctx, cutting, []ed25519.PublicKey{audit.PublicKeyOf(audittest.Key)}, &audit.Head{Seq: 5, Hash: entries[4].Hash})
				must(t, err)
				if len(found.Problems) != test.problems || cut == 0 && test.cuts > 0 {
					t.Errorf("%d cuts: %q", cut, found.Problems)
				}
			})
		})
	}
}

// TestRetention lets two processes cut for some days.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		registry, schemas := tenancymemory.NewRegistry(), tenancymemory.NewSchemas()
		tenants := tenancy.NewService(registry, schemas, memtx.New(registry, schemas))
		log := memory.NewLog()
		var inTenants []context.Context
		for _, slug := range []string{"acme", "testcorp"} {
			made, err := tenants.Sync(ctx, tenancy.Organization{ID: "org_" + slug, Name: slug, Slug: slug, CreatedAt: time.Now()})
			must(t, err)
			inTenants = append(inTenants, tenant.NewContext(ctx, made.Schema))
		}
		record := func() {
			for _, ctx := range inTenants {
				must(t, log.Record(ctx, "project.created", "1", nil))
			}
		}
		for range 2 {
			retention := audit.NewRetention(audit.NewCutter(log, audittest.Key), tenants, 48*time.Hour, slog.New(slog.DiscardHandler))
			go retention.Run(ctx)
		}
		for range 5 {
			record()
			time.Sleep(24 * time.Hour)
		}
		synctest.Wait()
		for _, ctx := range inTenants {
			left, err := log.After(ctx, 0, 10)
			must(t, err)
			if len(left) > 3 || len(left) < 2 || left[len(left)-1].Seq != 5 {
				t.Errorf("%d entries are left", len(left))
			}
			found, err := audit.Verify(ctx, log, []ed25519.PublicKey{audit.PublicKeyOf(audittest.Key)}, nil)
			if err != nil || len(found.Problems) > 0 {
				t.Errorf("%+v, %v", found, err)
			}
		}
		stop()
		synctest.Wait()
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"2026-01-31", "2026-01-31T12:00:00.123456789Z", "", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := audit.ParseTime("from", text)
		if err == nil && !at.IsZero() && (at.Year() < 1969 || at.Year() > 9999) {
			t.Errorf("%q is %v", text, at)
		}
	})
}
