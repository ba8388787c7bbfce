package identity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/fault"
)

// staff is acme with somebody in every role. Ada founded it, Cleo administers
// it, Bob is a member and Vic a viewer.
func staff() identity.Observation {
	o := acme()
	for n, each := range []struct{ id, name, role string }{{"user_cleo", "Cleo", "org:admin"}, {"user_vic", "Vic", "org:viewer"}} {
		o.Accounts = append(o.Accounts, person(each.id, each.name))
		o.Memberships = append(o.Memberships, identity.Membership{
			ID: fmt.Sprintf("orgmem_1%d", n), OrganizationID: "org_acme", AccountID: each.id, ProviderRole: each.role,
			CreatedAt: founded.Add(time.Minute), UpdatedAt: founded.Add(time.Minute),
		})
	}
	return o
}

func newStaff(t *testing.T) *identitytest.World {
	t.Helper()
	w := identitytest.NewWorld()
	apply(t, w, staff())
	tell(t, w, staff())
	return w
}

// in lets somebody into acme.
func in(t *testing.T, w *identitytest.World, account string) (context.Context, identity.Access) {
	t.Helper()
	ctx, access, err := w.Service.Enter(t.Context(), sessionOf(account, ""), "acme")
	if err != nil {
		t.Fatalf("%s: %v", account, err)
	}
	return ctx, access
}

// roles are those of acme's active members, in a line.
func roles(t *testing.T, w *identitytest.World) string {
	t.Helper()
	state, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var line []string
	for _, u := range state["org_acme"].Users {
		if u.Active {
			line = append(line, strings.TrimPrefix(u.ID, "user_")+":"+string(u.Role))
		}
	}
	return strings.Join(line, " ")
}

const asFounded = "ada:owner bob:member cleo:admin vic:viewer"

func TestChangeRole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, who, to string
		want        error // the kind's own error, nil for done
		after       string
	}{
		{"ada", "bob", "admin", nil, "ada:owner bob:admin cleo:admin vic:viewer"},
		{"ada", "bob", "owner", nil, "ada:owner bob:owner cleo:admin vic:viewer"},
		{"ada", "cleo", "owner", nil, "ada:owner bob:member cleo:owner vic:viewer"},
		{"ada", "cleo", "viewer", nil, "ada:owner bob:member cleo:viewer vic:viewer"},
		{"ada", "vic", "viewer", nil, asFounded},
		{"ada", "ada", "admin", identity.ErrLastOwner, asFounded},
		{"ada", "ada", "viewer", identity.ErrLastOwner, asFounded},
		{"ada", "ada", "owner", nil, asFounded},
		{"ada", "eve", "admin", identity.ErrNoMember, asFounded},
		{"ada", "", "admin", identity.ErrNoMember, asFounded},
		{"cleo", "bob", "admin", nil, "ada:owner bob:admin cleo:admin vic:viewer"},
		{"cleo", "vic", "member", nil, "ada:owner bob:member cleo:admin vic:member"},
		{"cleo", "bob", "owner", identity.ErrForbidden, asFounded},
		{"cleo", "cleo", "owner", identity.ErrForbidden, asFounded},
		{"cleo", "cleo", "member", nil, "ada:owner bob:member cleo:member vic:viewer"},
		{"cleo", "ada", "member", identity.ErrForbidden, asFounded},
		{"cleo", "ada", "nonsense", identity.ErrForbidden, asFounded},
		{"bob", "bob", "admin", identity.ErrForbidden, asFounded},
		{"bob", "bob", "viewer", identity.ErrForbidden, asFounded},
		{"bob", "vic", "viewer", identity.ErrForbidden, asFounded},
		{"bob", "eve", "viewer", identity.ErrNoMember, asFounded},
		{"vic", "vic", "owner", identity.ErrForbidden, asFounded},
	} {
		t.Run(test.as+" makes "+test.who+" "+test.to, func(t *testing.T) {
			t.Parallel()
			w := newStaff(t)
			ctx, access := in(t, w, "user_"+test.as)
			changed, err := w.Roster.ChangeRole(ctx, access, "user_"+test.who, test.to)
			if !errors.Is(err, test.want) || err == nil && (changed.ID != "user_"+test.who || string(changed.Role) != test.to) {
				t.Errorf("got %+v, %v", changed, err)
			}
			if got := roles(t, w); got != test.after {
				t.Errorf("afterwards %s, want %s", got, test.after)
			}
			// The webhook of the change is a no-op, and what the provider says now
			// comes to the same.
			for _, id := range []string{"user_ada", "user_bob", "user_cleo", "user_vic"} {
				o, err := w.Provider.Observe(t.Context(), "org_acme", id)
				if err != nil {
					t.Fatal(err)
				}
				apply(t, w, o)
			}
			if got := roles(t, w); got != test.after {
				t.Errorf("after the webhooks %s, want %s", got, test.after)
			}
		})
	}
	t.Run("a role that is none", func(t *testing.T) {
		t.Parallel()
		w := newStaff(t)
		ctx, access := in(t, w, "user_ada")
		for _, role := range []string{"", "Admin", "org:admin", "owner ", "\x00"} {
			_, err := w.Roster.ChangeRole(ctx, access, "user_bob", role)
			if !fault.Is(err, fault.Invalid) || fault.As(err).Fields[0].Name != "role" {
				t.Errorf("%q: %v", role, err)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, who string
		want    error
		after   string
	}{
		{"ada", "bob", nil, "ada:owner cleo:admin vic:viewer"},
		{"ada", "ada", identity.ErrLastOwner, asFounded},
		{"ada", "eve", identity.ErrNoMember, asFounded},
		{"cleo", "vic", nil, "ada:owner bob:member cleo:admin"},
		{"cleo", "cleo", nil, "ada:owner bob:member vic:viewer"},
		{"cleo", "ada", identity.ErrForbidden, asFounded},
		{"bob", "bob", nil, "ada:owner cleo:admin vic:viewer"},
		{"bob", "vic", identity.ErrForbidden, asFounded},
		{"vic", "vic", nil, "ada:owner bob:member cleo:admin"},
		{"vic", "bob", identity.ErrForbidden, asFounded},
	} {
		t.Run(test.as+" removes "+test.who, func(t *testing.T) {
			t.Parallel()
			w := newStaff(t)
			ctx, access := in(t, w, "user_"+test.as)
			if err := w.Roster.Remove(ctx, access, "user_"+test.who); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if got := roles(t, w); got != test.after {
				t.Errorf("afterwards %s, want %s", got, test.after)
			}
			if _, err := w.Provider.Observe(t.Context(), "org_acme", "user_"+test.who); test.who != "eve" && (test.want == nil) != fault.Is(err, fault.NotFound) {
				t.Errorf("at the provider: %v", err)
			}
		})
	}
}

// TestRightsEndAtOnce: what somebody was let in with does not outlive a change
// of what they are, and neither does their token.
func TestRightsEndAtOnce(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, ada := in(t, w, "user_ada")
	cleoCtx, cleo := in(t, w, "user_cleo")
	if _, err := w.Roster.ChangeRole(ctx, ada, "user_cleo", "member"); err != nil {
		t.Fatal(err)
	}
	if _, access := in(t, w, "user_cleo"); access.Member.Role != identity.RoleMember {
		t.Errorf("Cleo enters as %s", access.Member.Role)
	}
	// A request of hers that was let in before is still under way.
	if _, err := w.Roster.ChangeRole(cleoCtx, cleo, "user_vic", "admin"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a request that was under way: %v", err)
	}
	if err := w.Roster.Remove(cleoCtx, cleo, "user_vic"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a request that was under way: %v", err)
	}
	if err := w.Roster.Remove(ctx, ada, "user_cleo"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Service.Enter(t.Context(), sessionOf("user_cleo", "acme"), "acme"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Cleo enters: %v", err)
	}
	if err := w.Roster.Remove(cleoCtx, cleo, "user_cleo"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("leaving twice: %v", err)
	}
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, who string
		want    error
		after   string
	}{
		{"ada", "cleo", nil, "ada:admin bob:member cleo:owner vic:viewer"},
		{"ada", "vic", nil, "ada:admin bob:member cleo:admin vic:owner"},
		{"ada", "ada", identity.ErrOwnerAlready, asFounded},
		{"ada", "eve", identity.ErrNoMember, asFounded},
		{"cleo", "cleo", identity.ErrForbidden, asFounded},
		{"cleo", "ada", identity.ErrForbidden, asFounded},
		{"bob", "bob", identity.ErrForbidden, asFounded},
	} {
		t.Run(test.as+" hands over to "+test.who, func(t *testing.T) {
			t.Parallel()
			w := newStaff(t)
			ctx, access := in(t, w, "user_"+test.as)
			if _, err := w.Roster.Transfer(ctx, access, "user_"+test.who); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if got := roles(t, w); got != test.after {
				t.Errorf("afterwards %s, want %s", got, test.after)
			}
		})
	}
	t.Run("and the former owner may leave", func(t *testing.T) {
		t.Parallel()
		w := newStaff(t)
		ctx, access := in(t, w, "user_ada")
		if _, err := w.Roster.Transfer(ctx, access, "user_cleo"); err != nil {
			t.Fatal(err)
		}
		ctx, access = in(t, w, "user_ada")
		if err := w.Roster.Remove(ctx, access, "user_ada"); err != nil {
			t.Fatal(err)
		}
		if got := roles(t, w); got != "bob:member cleo:owner vic:viewer" {
			t.Errorf("afterwards %s", got)
		}
	})
}

// TestAnOwnerStays has owners who remove and demote each other, all at once.
func TestAnOwnerStays(t *testing.T) {
	t.Parallel()
	for range 20 {
		w := newStaff(t)
		ctx, ada := in(t, w, "user_ada")
		for _, id := range []string{"user_bob", "user_cleo"} {
			if _, err := w.Roster.ChangeRole(ctx, ada, id, "owner"); err != nil {
				t.Fatal(err)
			}
		}
		accesses := map[context.Context]identity.Access{}
		for _, id := range []string{"user_ada", "user_bob", "user_cleo"} {
			ctx, access := in(t, w, id)
			accesses[ctx] = access
		}
		var group sync.WaitGroup
		for ctx, access := range accesses {
			for _, other := range []string{"user_ada", "user_bob", "user_cleo"} {
				group.Go(func() { _ = w.Roster.Remove(ctx, access, other) })
				group.Go(func() { _, _ = w.Roster.ChangeRole(ctx, access, other, "member") })
				group.Go(func() { _, _ = w.Roster.Transfer(ctx, access, other) })
			}
		}
		group.Wait()
		if got := roles(t, w); !strings.Contains(got, ":owner") {
			t.Fatalf("nobody is in charge: %s", got)
		}
	}
}

// TestWhoIsGoneAtTheProviderIsGoneHere: the webhook of a removal was lost, and
// somebody does what shows it.
func TestWhoIsGoneAtTheProviderIsGoneHere(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*identitytest.World, context.Context, identity.Access) error{
		"removed": func(w *identitytest.World, ctx context.Context, access identity.Access) error {
			return w.Roster.Remove(ctx, access, "user_bob")
		},
		"made an administrator": func(w *identitytest.World, ctx context.Context, access identity.Access) error {
			_, err := w.Roster.ChangeRole(ctx, access, "user_bob", "admin")
			if !errors.Is(err, identity.ErrNoMember) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
		"made the owner": func(w *identitytest.World, ctx context.Context, access identity.Access) error {
			_, err := w.Roster.Transfer(ctx, access, "user_bob")
			if !errors.Is(err, identity.ErrNoMember) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newStaff(t)
			if _, err := w.Provider.RemoveMember(t.Context(), "org_acme", "user_bob"); err != nil {
				t.Fatal(err)
			}
			ctx, access := in(t, w, "user_ada")
			if err := do(w, ctx, access); err != nil {
				t.Error(err)
			}
			if got := roles(t, w); got != "ada:owner cleo:admin vic:viewer" {
				t.Errorf("afterwards %s", got)
			}
		})
	}
}

// TestTheProviderRefuses: what it says reaches the caller, and nothing changes.
func TestTheProviderRefuses(t *testing.T) {
	t.Parallel()
	for kind, refusal := range map[fault.Kind]error{
		fault.RateLimited: fault.New(fault.RateLimited, "Slow down.").WithRetryAfter(7 * time.Second),
		fault.Unavailable: fault.New(fault.Unavailable, "Away."),
		fault.Invalid:     fault.New(fault.Invalid, "No."),
	} {
		w := newStaff(t)
		ctx, access := in(t, w, "user_ada")
		sent, err := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: "new@example.com", Role: "member"})
		if err != nil {
			t.Fatal(err)
		}
		w.Provider.Fail(refusal)
		_, roleErr := w.Roster.ChangeRole(ctx, access, "user_bob", "admin")
		_, transferErr := w.Roster.Transfer(ctx, access, "user_bob")
		_, inviteErr := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: "x@example.com", Role: "member"})
		_, listErr := w.Roster.Invitations(ctx, access)
		_, resendErr := w.Roster.Resend(ctx, access, sent.ID)
		for n, err := range []error{
			roleErr, transferErr, inviteErr, listErr, resendErr,
			w.Roster.Remove(ctx, access, "user_bob"), w.Roster.Revoke(ctx, access, sent.ID),
		} {
			if !fault.Is(err, kind) || fault.As(err).RetryAfter != fault.As(refusal).RetryAfter || fault.As(err).Message != fault.As(refusal).Message {
				t.Errorf("%d after %v: %v", n, kind, err)
			}
		}
		if got := roles(t, w); got != asFounded {
			t.Errorf("afterwards %s", got)
		}
	}
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_cleo")
	sent, err := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: " New+1@Example.com ", Role: "admin"})
	if err != nil || sent.Email != "New+1@Example.com" || sent.Role != identity.RoleAdmin || sent.InvitedBy != "user_cleo" {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	if _, err := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: "new+1@example.com", Role: "member"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("twice: %v", err)
	}
	ownerCtx, owner := in(t, w, "user_ada")
	again, err := w.Roster.Resend(ownerCtx, owner, sent.ID)
	if err != nil || again.ID == sent.ID || again.Email != sent.Email || again.Role != sent.Role || again.InvitedBy != "user_ada" {
		t.Fatalf("again %+v, %v", again, err)
	}
	_, resendErr := w.Roster.Resend(ctx, access, sent.ID)
	_, getErr := w.Roster.Invitation(ctx, access, sent.ID)
	for n, err := range []error{resendErr, getErr, w.Roster.Revoke(ctx, access, sent.ID), w.Roster.Revoke(ctx, access, "orginv_none")} {
		if !errors.Is(err, identity.ErrNoInvitation) {
			t.Errorf("%d of one that is void: %v", n, err)
		}
	}
	if list, err := w.Roster.Invitations(ctx, access); err != nil || len(list) != 1 || list[0] != again {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := w.Roster.Revoke(ctx, access, again.ID); err != nil {
		t.Error(err)
	}
	if list, err := w.Roster.Invitations(ctx, access); err != nil || len(list) != 0 {
		t.Errorf("listed %+v, %v", list, err)
	}
}

// TestInvitationsAreForManagers, whatever else is wrong.
func TestInvitationsAreForManagers(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	for _, id := range []string{"user_bob", "user_vic"} {
		ctx, access := in(t, w, id)
		_, inviteErr := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: "nonsense"})
		_, listErr := w.Roster.Invitations(ctx, access)
		_, getErr := w.Roster.Invitation(ctx, access, "orginv_none")
		_, resendErr := w.Roster.Resend(ctx, access, "orginv_none")
		for n, err := range []error{inviteErr, listErr, getErr, resendErr, w.Roster.Revoke(ctx, access, "orginv_none")} {
			if !errors.Is(err, identity.ErrForbidden) {
				t.Errorf("%s, %d: %v", id, n, err)
			}
		}
	}
}

func TestAnInvitationIsRefused(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	ctx, access := in(t, w, "user_ada")
	for _, test := range []struct{ email, role, fields string }{
		{"", "", "email role"},
		{"nobody", "member", "email"},
		{"Ada <ada@example.com>", "member", "email"},
		{"a@example.com, b@example.com", "member", "email"},
		{"a@example.com\r\nBcc: b@example.com", "member", "email"},
		{"a b@example.com", "member", "email"},
		{strings.Repeat("a", 250) + "@example.com", "member", "email"},
		{"a@\xff.com", "member", "email"},
		{"a@example.com\u202e", "member", "email"},
		{"new@example.com", "owner", "role"},
		{"new@example.com", "Member", "role"},
		{"new@example.com", "org:admin", "role"},
	} {
		_, err := w.Roster.Invite(ctx, access, identity.InvitationDraft{Email: test.email, Role: test.role})
		var fields []string
		if fault.Is(err, fault.Invalid) {
			for _, field := range fault.As(err).Fields {
				fields = append(fields, field.Name)
			}
		}
		if strings.Join(fields, " ") != test.fields {
			t.Errorf("%.40q as %q: %v", test.email, test.role, err)
		}
	}
	if list, err := w.Roster.Invitations(ctx, access); err != nil || len(list) != 0 {
		t.Errorf("something was sent: %+v, %v", list, err)
	}
}

func TestListMembers(t *testing.T) {
	t.Parallel()
	w := newStaff(t)
	for _, as := range []string{"user_ada", "user_vic"} {
		ctx, access := in(t, w, as)
		var got []string
		listing := identity.MemberListing{Limit: 3}
		for {
			page, err := w.Roster.List(ctx, access.Actor(), listing)
			if err != nil {
				t.Fatal(err)
			}
			for _, member := range page.Members {
				got = append(got, member.ID)
			}
			if page.Next.IsZero() {
				break
			}
			if listing.After, err = identity.ParseMemberCursor(page.Next.String()); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"user_ada", "user_bob", "user_cleo", "user_vic"}; !slices.Equal(got, want) {
			t.Errorf("%s sees %v", as, got)
		}
	}
	ctx, access := in(t, w, "user_ada")
	for _, listing := range []identity.MemberListing{{Limit: -1}, {Limit: 101}, {Role: "boss"}, {Search: strings.Repeat("ä", 121)}, {Search: "a\x00"}, {Search: "\xff"}} {
		if _, err := w.Roster.List(ctx, access.Actor(), listing); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", listing, err)
		}
	}
	if _, err := w.Roster.List(ctx, identity.Actor{}, identity.MemberListing{}); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := w.Roster.Member(ctx, identity.Actor{}, "user_bob"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
}

// FuzzParseMemberCursor holds that a cursor is refused, or means one place.
func FuzzParseMemberCursor(f *testing.F) {
	f.Add("")
	f.Add(identity.MemberCursorAt(identity.Member{ID: "user_1", JoinedAt: founded}).String())
	f.Add("AAAAAAAAAAB1")
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := identity.ParseMemberCursor(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !cursor.IsZero() {
				t.Errorf("%q: %+v, %v", text, cursor, err)
			}
			return
		}
		if cursor.String() != text {
			t.Errorf("%q becomes %q", text, cursor)
		}
	})
}
