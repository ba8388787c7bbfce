// Package audittest has the contract that every implementation of [audit.Log]
// passes.
package audittest

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/origin"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Fixture is a log and two tenants whose records are empty.
type Fixture struct {
	Log  audit.Log
	A, B tenant.Schema
}

// Run runs the contract, each part of it on a fixture of its own.
func Run(t *testing.T, newFixture func(t *testing.T) Fixture) {
	t.Helper()
	for name, test := range map[string]func(s suite, t *testing.T){
		"what was recorded is found":          suite.recorded,
		"entries are listed newest first":     suite.listed,
		"filters":                             suite.filtered,
		"pages meet":                          suite.paged,
		"entries are counted by day":          suite.counted,
		"entries form a chain":                suite.chained,
		"many at once form one chain":         suite.raced,
		"a cut record goes on":                suite.cut,
		"a cut needs its entry":               suite.cutElsewhere,
		"a record cut whole goes on":          suite.cutWhole,
		"one of many cuts":                    suite.raceToCut,
		"tenants are apart":                   suite.apart,
		"no tenant, no statement":             suite.noTenant,
		"hostile text stays text":             suite.hostile,
		"a cancelled context records nothing": suite.cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test(suite{f, tenant.NewContext(t.Context(), f.A)}, t)
		})
	}
}

type suite struct {
	Fixture
	ctx context.Context // in tenant A
}

// Key signs cuts in tests.
var Key = ed25519.NewKeyFromSeed([]byte("a seed of 32 bytes for the tests"))

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func by(ctx context.Context, actor string) context.Context {
	return origin.NewContext(ctx, origin.Origin{Kind: origin.Person, Actor: actor, IP: netip.MustParseAddr("192.0.2.7"), RequestID: "req-" + actor})
}

func (s suite) record(t *testing.T, ctx context.Context, action, subject string) {
	t.Helper()
	must(t, s.Log.Record(ctx, action, subject, map[string]any{"name": "x"}))
}

func (s suite) seqs(t *testing.T, listing audit.Listing) []int64 {
	t.Helper()
	if listing.Limit == 0 {
		listing.Limit = 100
	}
	entries, err := s.Log.List(s.ctx, listing)
	must(t, err)
	seqs := []int64{}
	for _, e := range entries {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s suite) verify(t *testing.T, ctx context.Context, entries int, head int64) {
	t.Helper()
	found, err := audit.Verify(ctx, s.Log, []ed25519.PublicKey{audit.PublicKeyOf(Key)}, nil)
	must(t, err)
	if len(found.Problems) > 0 || found.Entries != entries || found.Head.Seq != head {
		t.Errorf("verified %+v, want %d entries up to %d", found, entries, head)
	}
}

func (s suite) recorded(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	must(t, s.Log.Record(by(s.ctx, "user_1"), "invitation.created", "orginv_1", map[string]any{"role": "admin", "email": nil}))
	entry, err := s.Log.BySeq(s.ctx, 1)
	must(t, err)
	if entry.At.Before(began) || entry.At.After(time.Now().Add(time.Minute)) || entry.At.Location() != time.UTC {
		t.Errorf("at %v", entry.At)
	}
	want := audit.Origin{Kind: origin.Person, Actor: "user_1", IP: "192.0.2.7", RequestID: "req-user_1"}
	same(t, "origin", entry.Origin, want)
	same(t, "fields", entry.Fields(), map[string]audit.Change{"role": {After: json.RawMessage(`"admin"`)}, "email": {}})
	if entry.Action != "invitation.created" || entry.Subject != "orginv_1" {
		t.Errorf("%q of %q", entry.Action, entry.Subject)
	}
	for _, seq := range []int64{0, 2, -1} {
		if _, err := s.Log.BySeq(s.ctx, seq); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("entry %d: %v", seq, err)
		}
	}
	must(t, s.Log.Record(s.ctx, "project.created", "1", nil))
	if entry, err = s.Log.BySeq(s.ctx, 2); err != nil || entry.Origin.Kind != origin.Database || entry.Origin.Actor == "" {
		t.Errorf("without an origin: %+v, %v", entry, err)
	}
}

func (s suite) listed(t *testing.T) {
	for i := range 4 {
		s.record(t, s.ctx, "project.created", fmt.Sprint(i))
	}
	same(t, "list", s.seqs(t, audit.Listing{}), []int64{4, 3, 2, 1})
	after, err := s.Log.After(s.ctx, 1, 2)
	must(t, err)
	if len(after) != 2 || after[0].Seq != 2 || after[1].Seq != 3 {
		t.Errorf("after the first: %+v", after)
	}
}

func (s suite) filtered(t *testing.T) {
	s.record(t, by(s.ctx, "user_1"), "project.created", "1")
	s.record(t, by(s.ctx, "user_2"), "project.updated", "1")
	s.record(t, by(s.ctx, "user_1"), "member.created", "1")
	s.record(t, by(s.ctx, "user_1"), "project.updated", "2")
	third, err := s.Log.BySeq(s.ctx, 3)
	must(t, err)
	for name, test := range map[string]struct {
		filter audit.Filter
		want   []int64
	}{
		"actor":   {audit.Filter{Actor: "user_1"}, []int64{4, 3, 1}},
		"action":  {audit.Filter{Action: "project.updated"}, []int64{4, 2}},
		"kind":    {audit.Filter{Action: "project"}, []int64{4, 2, 1}},
		"subject": {audit.Filter{Subject: "1", Action: "project"}, []int64{2, 1}},
		"from":    {audit.Filter{From: third.At}, []int64{4, 3}},
		"until":   {audit.Filter{Until: third.At}, []int64{2, 1}},
		"all":     {audit.Filter{Actor: "user_1", Action: "project", Until: third.At}, []int64{1}},
		"nothing": {audit.Filter{Actor: "user"}, []int64{}},
		"no part": {audit.Filter{Action: "proj"}, []int64{}},
	} {
		same(t, name, s.seqs(t, audit.Listing{Filter: test.filter}), test.want)
	}
}

func (s suite) paged(t *testing.T) {
	for i := range 5 {
		s.record(t, s.ctx, "project.created", fmt.Sprint(i))
	}
	same(t, "first", s.seqs(t, audit.Listing{Limit: 2}), []int64{5, 4})
	same(t, "second", s.seqs(t, audit.Listing{Limit: 2, Before: 4}), []int64{3, 2})
	same(t, "last", s.seqs(t, audit.Listing{Limit: 2, Before: 2}), []int64{1})
}

func (s suite) counted(t *testing.T) {
	since := time.Now()
	for range 3 {
		s.record(t, s.ctx, "project.created", "1")
	}
	days, err := s.Log.Daily(s.ctx, since.Add(-time.Minute))
	must(t, err)
	total := 0
	for day, n := range days { // two of them around midnight
		if total += n; day.Location() != time.UTC || !day.Equal(day.Truncate(24*time.Hour)) || since.Sub(day).Abs() > 25*time.Hour {
			t.Errorf("%d on %v", n, day)
		}
	}
	later, err := s.Log.Daily(s.ctx, since.Add(time.Hour))
	must(t, err)
	if total != 3 || len(later) != 0 {
		t.Errorf("%d entries, and later %v", total, later)
	}
}

func (s suite) chained(t *testing.T) {
	s.record(t, by(s.ctx, "user_ä\n"), "project.created", "日本")
	must(t, s.Log.Record(s.ctx, "member.updated", "user_1", nil))
	s.record(t, s.ctx, "project.deleted", "1")
	s.verify(t, s.ctx, 3, 3)
	entries, err := s.Log.After(s.ctx, 0, 10)
	must(t, err)
	if entries[1].HashAfter(&entries[0].Hash) != entries[1].Hash || entries[1].HashAfter(nil) == entries[1].Hash {
		t.Error("the second hash does not depend on the first")
	}
}

func (s suite) raced(t *testing.T) {
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { s.record(t, by(s.ctx, fmt.Sprint("user_", i)), "project.created", fmt.Sprint(i)) })
	}
	wait.Wait()
	s.verify(t, s.ctx, 20, 20)
}

func (s suite) cut(t *testing.T) {
	for i := range 5 {
		s.record(t, s.ctx, "project.created", fmt.Sprint(i))
	}
	fourth, err := s.Log.BySeq(s.ctx, 4)
	must(t, err)
	removed, err := audit.NewCutter(s.Log, Key).Cut(s.ctx, fourth.At)
	must(t, err)
	if removed != 3 {
		t.Errorf("%d removed", removed)
	}
	same(t, "left", s.seqs(t, audit.Listing{}), []int64{5, 4})
	s.verify(t, s.ctx, 2, 5)
	s.record(t, s.ctx, "project.created", "6")
	s.verify(t, s.ctx, 3, 6)
	if removed, err := audit.NewCutter(s.Log, Key).Cut(s.ctx, fourth.At); removed != 0 || err != nil {
		t.Errorf("once more: %d, %v", removed, err)
	}
	found, err := audit.Verify(s.ctx, s.Log, nil, nil)
	must(t, err)
	if len(found.Problems) != 1 || !strings.Contains(found.Problems[0], "not trusted") {
		t.Errorf("with no key trusted: %q", found.Problems)
	}
}

// raceToCut holds that of many who cut at the same place one does, and the others hear
// that the entry is not there.
func (s suite) raceToCut(t *testing.T) {
	must(t, s.Log.Record(s.ctx, "project.created", "1", nil))
	entry, err := s.Log.BySeq(s.ctx, 1)
	must(t, err)
	anchor := audit.Anchor{Seq: entry.Seq, Hash: entry.Hash, CutAt: time.Now().UTC().Truncate(time.Microsecond), PublicKey: audit.PublicKeyOf(Key), Signature: []byte("x")}
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = s.Log.Cut(s.ctx, anchor) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else if !errors.Is(err, audit.ErrNotThere) {
			t.Errorf("error %v, want %v", err, audit.ErrNotThere)
		}
	}
	if done != 1 {
		t.Errorf("%d of %d cut", done, len(errs))
	}
}

func (s suite) cutElsewhere(t *testing.T) {
	s.record(t, s.ctx, "project.created", "1")
	err := s.Log.Cut(s.ctx, audit.Anchor{Seq: 1, CutAt: time.Now(), PublicKey: audit.PublicKeyOf(Key), Signature: []byte("x")})
	if !errors.Is(err, audit.ErrNotThere) || !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	s.verify(t, s.ctx, 1, 1)
}

func (s suite) cutWhole(t *testing.T) {
	s.record(t, s.ctx, "project.created", "1")
	s.record(t, s.ctx, "project.created", "2")
	_, err := audit.NewCutter(s.Log, Key).Cut(s.ctx, time.Now().Add(time.Hour))
	must(t, err)
	s.verify(t, s.ctx, 0, 2)
	s.record(t, s.ctx, "project.created", "3")
	same(t, "left", s.seqs(t, audit.Listing{}), []int64{3})
	s.verify(t, s.ctx, 1, 3)
}

func (s suite) apart(t *testing.T) {
	other := tenant.NewContext(s.ctx, s.B)
	s.record(t, other, "project.created", "of B")
	s.record(t, other, "project.created", "of B")
	s.record(t, s.ctx, "project.created", "of A")
	same(t, "A's", s.seqs(t, audit.Listing{}), []int64{1})
	entries, err := s.Log.After(s.ctx, 0, 10)
	must(t, err)
	if len(entries) != 1 || entries[0].Subject != "of A" {
		t.Errorf("A has %+v", entries)
	}
	if _, err := s.Log.BySeq(s.ctx, 2); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("B's second in A: %v", err)
	}
	_, err = audit.NewCutter(s.Log, Key).Cut(other, time.Now().Add(time.Hour))
	must(t, err)
	anchors, err := s.Log.Anchors(s.ctx)
	must(t, err)
	same(t, "A's anchors", len(anchors), 0)
	same(t, "A's after B was cut", s.seqs(t, audit.Listing{}), []int64{1})

	// One tenant's anchor is good for no other.
	theirs, err := s.Log.Anchors(other)
	must(t, err)
	moved := theirs[0]
	entry := entries[0]
	moved.Seq, moved.Hash = entry.Seq, entry.Hash
	must(t, s.Log.Cut(s.ctx, moved))
	found, err := audit.Verify(s.ctx, s.Log, []ed25519.PublicKey{audit.PublicKeyOf(Key)}, nil)
	must(t, err)
	if len(found.Problems) != 1 || !strings.Contains(found.Problems[0], "without a valid signature") {
		t.Errorf("with B's anchor: %q", found.Problems)
	}
}

func (s suite) noTenant(t *testing.T) {
	ctx := t.Context()
	_, listErr := s.Log.List(ctx, audit.Listing{Limit: 1})
	_, getErr := s.Log.BySeq(ctx, 1)
	_, afterErr := s.Log.After(ctx, 0, 1)
	_, anchorsErr := s.Log.Anchors(ctx)
	_, dailyErr := s.Log.Daily(ctx, time.Time{})
	for what, err := range map[string]error{
		"list": listErr, "get": getErr, "after": afterErr, "anchors": anchorsErr, "daily": dailyErr,
		"record": s.Log.Record(ctx, "project.created", "1", nil), "cut": s.Log.Cut(ctx, audit.Anchor{Seq: 1}),
	} {
		if err == nil {
			t.Errorf("%s without a tenant is no error", what)
		}
	}
}

func (s suite) hostile(t *testing.T) {
	texts := []string{`'; DROP TABLE audit_log; --`, `\`, `"`, "?0", "$1", "{}", "日本", "\u202e"}
	for _, text := range texts {
		ctx := origin.NewContext(s.ctx, origin.Origin{Kind: origin.Key, Actor: text, APIKey: text, RequestID: text})
		must(t, s.Log.Record(ctx, "project.created", text, map[string]any{text: text}))
		found, err := s.Log.List(s.ctx, audit.Listing{Filter: audit.Filter{Actor: text, Subject: text}, Limit: 10})
		must(t, err)
		if len(found) != 1 || found[0].Origin.APIKey != text || found[0].Origin.RequestID != text || !slices.Equal(slices.Collect(maps.Keys(found[0].Fields())), []string{text}) {
			t.Errorf("%q: %+v", text, found)
		}
	}
	s.verify(t, s.ctx, len(texts), int64(len(texts)))
}

func (s suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.Log.Record(ctx, "project.created", "1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	same(t, "recorded", s.seqs(t, audit.Listing{}), []int64{})
}
