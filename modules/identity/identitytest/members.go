package identitytest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// newMember returns an active member with an address of its own.
func newMember(id string) identity.Member {
	return identity.Member{
		ID: id, Email: id + "@example.com", FirstName: "First " + id, LastName: "Last", AvatarURL: "https://img.example/" + id,
		Phone: "+1 555", Role: identity.RoleMember, IsActive: true, JoinedAt: at(0),
	}
}

// RunMembers runs the contract of [identity.Members].
func RunMembers(t *testing.T, newStores func(t *testing.T) Stores) {
	t.Helper()
	tests := map[string]func(m membersSuite, t *testing.T){
		"what was put is found":                        membersSuite.finds,
		"put writes over what was":                     membersSuite.replaces,
		"who never was a member is not found":          membersSuite.missing,
		"all are listed by id, former ones too":        membersSuite.lists,
		"active members are paged by when they joined": membersSuite.pages,
		"an address moves between members":             membersSuite.moves,
		"an address belongs to one active member":      membersSuite.conflicts,
		"onboarding is recorded, the rest stays":       membersSuite.onboards,
		"the last time somebody was seen only grows":   membersSuite.touches,
		"tenants are apart":                            membersSuite.apart,
		"without a tenant everything fails":            membersSuite.noTenant,
		"a cancelled context changes nothing":          membersSuite.cancelled,
		"hostile text stays text":                      membersSuite.hostile,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			test(membersSuite{s, tenant.NewContext(t.Context(), s.A), tenant.NewContext(t.Context(), s.B)}, t)
		})
	}
}

// membersSuite has the contexts of both tenants.
type membersSuite struct {
	Stores

	a, b context.Context
}

// all returns the members of A without the times that the store keeps.
func (s membersSuite) all(t *testing.T, ctx context.Context) []identity.Member {
	t.Helper()
	members, err := s.Members.All(ctx)
	must(t, err)
	for i := range members {
		if members[i].CreatedAt.IsZero() || members[i].UpdatedAt.Before(members[i].CreatedAt) {
			t.Errorf("%s was created %v and updated %v", members[i].ID, members[i].CreatedAt, members[i].UpdatedAt)
		}
		members[i].CreatedAt, members[i].UpdatedAt = time.Time{}, time.Time{}
	}
	return members
}

func (s membersSuite) finds(t *testing.T) {
	full, bare := newMember("user_1"), identity.Member{ID: "user_2", Role: identity.RoleViewer, JoinedAt: at(1)}
	full.Metadata = identity.Metadata{OnboardingComplete: true, Phone: "+2", EmailSuperseded: true, TwoFactor: true}
	full.Role = identity.RoleOwner
	must(t, s.Members.Put(s.a, []identity.Member{full, bare}))
	same(t, "all", s.all(t, s.a), []identity.Member{full, bare})

	got, err := s.Members.ByID(s.a, full.ID)
	must(t, err)
	if got.CreatedAt.IsZero() || time.Since(got.CreatedAt).Abs() > time.Hour {
		t.Errorf("created at %v", got.CreatedAt)
	}
	got.CreatedAt, got.UpdatedAt = time.Time{}, time.Time{}
	same(t, "by id", got, full)
	several, err := s.Members.ByIDs(s.a, []string{"user_2", "user_none", "user_1", "USER_1"})
	must(t, err)
	if len(several) != 2 {
		t.Errorf("by ids: %+v", several)
	}
}

func (s membersSuite) replaces(t *testing.T) {
	must(t, s.Members.Put(s.a, []identity.Member{newMember("user_1"), newMember("user_2")}))
	must(t, s.Members.Touch(s.a, "user_1", at(5)))
	before, err := s.Members.ByID(s.a, "user_1")
	must(t, err)
	changed := identity.Member{ID: "user_1", Role: identity.RoleAdmin, JoinedAt: at(9), LastSeenAt: at(100), CreatedAt: at(100), UpdatedAt: at(-100)}
	must(t, s.Members.Put(s.a, []identity.Member{changed}))
	after, err := s.Members.ByID(s.a, "user_1")
	must(t, err)
	if after.UpdatedAt.Before(before.UpdatedAt) {
		t.Errorf("updated at %v, before at %v", after.UpdatedAt, before.UpdatedAt)
	}
	changed.LastSeenAt, changed.CreatedAt, changed.UpdatedAt = at(5), before.CreatedAt, after.UpdatedAt
	same(t, "replaced", after, changed)
	must(t, s.Members.Put(s.a, nil))
	same(t, "the other", s.all(t, s.a)[1], newMember("user_2"))
}

func (s membersSuite) missing(t *testing.T) {
	must(t, s.Members.Put(s.b, []identity.Member{newMember("user_1")}))
	_, err1 := s.Members.ByID(s.a, "user_1")
	_, err2 := s.Members.CompleteOnboarding(s.a, "user_1", "+1")
	_, err3 := s.Members.ByID(s.a, "")
	for i, err := range []error{err1, err2, err3} {
		if !errors.Is(err, identity.ErrNoMember) {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if err := s.Members.Touch(s.a, "user_1", at(1)); err != nil {
		t.Errorf("touching nobody: %v", err)
	}
	if got := s.all(t, s.a); len(got) != 0 {
		t.Errorf("A has %+v", got)
	}
}

func (s membersSuite) lists(t *testing.T) {
	ids := []string{"user_B", "user_a", "user_C", "user_-", "user_é"}
	var put []identity.Member
	for i, id := range ids {
		member := newMember(id)
		member.IsActive = i%2 == 0
		put = append(put, member)
	}
	must(t, s.Members.Put(s.a, put))
	same(t, "all", s.all(t, s.a), sorted(put, memberID))
}

func (s membersSuite) moves(t *testing.T) {
	one, two, three := newMember("user_1"), newMember("user_2"), newMember("user_3")
	must(t, s.Members.Put(s.a, []identity.Member{one, two, three}))
	one.Email, two.Email, three.Email = two.Email, three.Email, one.Email // in a circle
	must(t, s.Members.Put(s.a, []identity.Member{one, two, three}))
	same(t, "moved", s.all(t, s.a), []identity.Member{one, two, three})
}

func (s membersSuite) conflicts(t *testing.T) {
	holder := newMember("user_1")
	holder.Email = "Ada@Example.com"
	former := newMember("user_2")
	former.Email, former.IsActive = holder.Email, false
	nobody1, nobody2 := newMember("user_3"), newMember("user_4")
	nobody1.Email, nobody2.Email = "", ""
	must(t, s.Members.Put(s.a, []identity.Member{holder, former, nobody1, nobody2}))
	before := s.all(t, s.a)

	second := newMember("user_5")
	second.Email = "ADA@example.com"
	nobody1.FirstName = "Changed"
	for name, put := range map[string][]identity.Member{
		"another with the address":     {nobody1, second},
		"two at once with one address": {nobody1, {ID: "x", Email: "new@x", IsActive: true, Role: identity.RoleViewer}, {ID: "y", Email: "NEW@x", IsActive: true, Role: identity.RoleViewer}},
	} {
		if err := s.Members.Put(s.a, put); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v", name, err)
		}
		same(t, name+" leaves", s.all(t, s.a), before)
	}
	must(t, s.Members.Put(s.b, []identity.Member{second})) // another tenant's business
}

func (s membersSuite) onboards(t *testing.T) {
	member := newMember("user_1")
	member.Metadata.EmailSuperseded = true
	other := newMember("user_2")
	must(t, s.Members.Put(s.a, []identity.Member{member, other}))
	for _, step := range []struct{ phone, wantPhone, wantOwn string }{
		{"", "+1 555", ""}, {"+2", "+2", "+2"}, {"", "+2", "+2"}, {hostile, hostile, hostile},
	} {
		got, err := s.Members.CompleteOnboarding(s.a, member.ID, step.phone)
		must(t, err)
		member.Phone, member.Metadata = step.wantPhone, identity.Metadata{OnboardingComplete: true, Phone: step.wantOwn, EmailSuperseded: true}
		stored, err := s.Members.ByID(s.a, member.ID)
		must(t, err)
		same(t, "answered", got, stored)
		same(t, "all", s.all(t, s.a), []identity.Member{member, other})
	}
}

func (s membersSuite) touches(t *testing.T) {
	must(t, s.Members.Put(s.a, []identity.Member{newMember("user_1"), newMember("user_2")}))
	for _, step := range []struct{ seen, want time.Time }{{at(5), at(5)}, {at(4), at(5)}, {at(6), at(6)}} {
		must(t, s.Members.Touch(s.a, "user_1", step.seen))
		got, err := s.Members.ByID(s.a, "user_1")
		must(t, err)
		if !got.LastSeenAt.Equal(step.want) {
			t.Errorf("seen %v, stored %v, want %v", step.seen, got.LastSeenAt, step.want)
		}
	}
	if other, err := s.Members.ByID(s.a, "user_2"); err != nil || !other.LastSeenAt.IsZero() {
		t.Errorf("somebody else was seen at %v, %v", other.LastSeenAt, err)
	}
}

func (s membersSuite) apart(t *testing.T) {
	inA, inB := newMember("user_1"), newMember("user_1")
	inB.FirstName, inB.Role = "Other", identity.RoleOwner
	must(t, s.Members.Put(s.a, []identity.Member{inA}))
	must(t, s.Members.Put(s.b, []identity.Member{inB, newMember("user_2")}))
	_, err := s.Members.CompleteOnboarding(s.b, "user_1", "+9")
	must(t, err)
	must(t, s.Members.Touch(s.b, "user_1", at(50)))
	same(t, "A", s.all(t, s.a), []identity.Member{inA})
	if found, err := s.Members.ByIDs(s.a, []string{"user_2"}); err != nil || len(found) != 0 {
		t.Errorf("A finds B's: %+v, %v", found, err)
	}
}

func (s membersSuite) noTenant(t *testing.T) {
	for _, ctx := range []context.Context{t.Context(), tenant.NewContext(s.a, tenant.Schema{})} {
		_, err1 := s.Members.ByID(ctx, "user_1")
		_, err2 := s.Members.ByIDs(ctx, []string{"user_1"})
		_, err3 := s.Members.All(ctx)
		_, err4 := s.Members.CompleteOnboarding(ctx, "user_1", "")
		errs := []error{err1, err2, err3, err4, s.Members.Put(ctx, []identity.Member{newMember("user_1")}), s.Members.Touch(ctx, "user_1", at(1))}
		for i, err := range errs {
			if err == nil || fault.Is(err, fault.NotFound) {
				t.Errorf("%d: got %v", i, err)
			}
		}
	}
}

func (s membersSuite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(s.a)
	cancel()
	if err := s.Members.Put(ctx, []identity.Member{newMember("user_1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := s.all(t, s.a); len(got) != 0 {
		t.Errorf("A has %+v", got)
	}
}

func (s membersSuite) hostile(t *testing.T) {
	member := newMember(hostile)
	member.Email, member.FirstName, member.LastName, member.AvatarURL, member.Phone = hostile, hostile, hostile, hostile, hostile
	member.Metadata.Phone = hostile
	must(t, s.Members.Put(s.a, []identity.Member{member, newMember("user_1")}))
	must(t, s.Members.Touch(s.a, hostile, at(1)))
	member.LastSeenAt = at(1)
	got := s.all(t, s.a)
	same(t, "all", got, []identity.Member{member, newMember("user_1")})
	if found, err := s.Members.ByIDs(s.a, []string{hostile, "' OR ''='"}); err != nil || !slices.ContainsFunc(found, func(m identity.Member) bool { return m.ID == hostile }) || len(found) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// pages has members who joined at the same time, and ids that collations order
// in their own ways.
func (s membersSuite) pages(t *testing.T) {
	var put []identity.Member
	var want []string
	for n, id := range []string{"user_B", "user_a", "user_b", "user_Ä", "user_9", "user_8"} {
		member := newMember(id)
		member.Email, member.JoinedAt = "", at(n/3) // addresses know no case
		if id == "user_9" {
			member.Role = identity.RoleOwner
		}
		put = append(put, member)
	}
	want = []string{"user_B", "user_a", "user_b", "user_8", "user_9", "user_Ä"}
	left := newMember("user_c")
	left.IsActive = false
	must(t, s.Members.Put(s.a, append(put, left)))
	must(t, s.Members.Put(s.b, []identity.Member{newMember("user_other")}))

	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		var after identity.MemberCursor
		for {
			page, err := s.Members.List(s.a, identity.MemberListing{After: after, Limit: limit})
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, member := range page {
				got = append(got, member.ID)
			}
			after = identity.MemberCursorAt(page[len(page)-1])
		}
		same(t, "pages", got, want)
	}
	owners, err := s.Members.List(s.a, identity.MemberListing{Role: identity.RoleOwner, Limit: 10})
	must(t, err)
	if len(owners) != 1 || owners[0].ID != "user_9" {
		t.Errorf("the owners are %+v", owners)
	}
	for id, name := range map[string][2]string{"user_a": {"Ada 100%", "Löve_lace"}, "user_b": {"Grace", "Hopper"}, "user_c": {"Ada", "Left"}} {
		member := newMember(id)
		member.Email, member.FirstName, member.LastName, member.IsActive = id+"@Acme.example", name[0], name[1], id != "user_c"
		must(t, s.Members.Put(s.a, []identity.Member{member}))
	}
	for search, want := range map[string][]string{
		"ada": {"user_a"}, "GRACE HOP": {"user_b"}, "löve": {"user_a"}, "acme.EXAMPLE": {"user_a", "user_b"}, "%": {"user_a"}, "e_l": {"user_a"}, "d_": nil,
		`\`: nil, "'; --": nil, "nobody": nil,
	} {
		found, err := s.Members.List(s.a, identity.MemberListing{Search: search, Limit: 10})
		must(t, err)
		var got []string
		for _, member := range found {
			got = append(got, member.ID)
		}
		slices.Sort(got)
		same(t, "a search for "+search, got, want)
	}
	if none, err := s.Members.List(t.Context(), identity.MemberListing{Limit: 10}); err == nil {
		t.Errorf("without a tenant there are %+v", none)
	}
}
