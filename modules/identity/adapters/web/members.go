package web

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/web"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// MemberPages are the pages about who belongs to a tenant.
type MemberPages struct {
	roster *identity.Roster
	errors *httpserver.ErrorWriter
}

// NewMemberPages returns the pages. What they cannot answer is answered by
// errors.
func NewMemberPages(roster *identity.Roster, errors *httpserver.ErrorWriter) *MemberPages {
	return &MemberPages{roster: roster, errors: errors}
}

// Mount adds the pages to a router whose requests were let into a tenant. No
// account has an id that is one of the paths below /members.
func (p *MemberPages) Mount(r chi.Router) {
	for _, page := range []struct {
		method, pattern string
		handle          func(http.ResponseWriter, *http.Request, identity.Access) error
	}{
		{http.MethodGet, "/members", p.list},
		{http.MethodGet, "/members/invite", p.showInvite},
		{http.MethodPost, "/members/invite", p.invite},
		{http.MethodPost, "/members/invitations/{invitation}/resend", p.resend},
		{http.MethodGet, "/members/invitations/{invitation}/revoke", p.confirmRevoke},
		{http.MethodPost, "/members/invitations/{invitation}/revoke", p.revoke},
		{http.MethodGet, "/members/leave", p.confirmLeave},
		{http.MethodPost, "/members/leave", p.leave},
		{http.MethodGet, "/members/{user}", p.show},
		{http.MethodPost, "/members/{user}", p.changeRole},
		{http.MethodGet, "/members/{user}/remove", p.confirmRemove},
		{http.MethodPost, "/members/{user}/remove", p.remove},
		{http.MethodGet, "/members/{user}/transfer", p.confirmTransfer},
		{http.MethodPost, "/members/{user}/transfer", p.transfer},
	} {
		r.Method(page.method, page.pattern, p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error {
			access := identity.AccessOf(r.Context())
			return page.handle(w, r, access)
		}))
	}
}

func userOf(r *http.Request) string { return httpserver.PathParam(r, "user") }

func invitationOf(r *http.Request) string { return httpserver.PathParam(r, "invitation") }

// answered redirects to a page of the tenant, which says what was done, or why
// nothing was: that the state or the provider forbids something is news for a
// person and no error of the page they came from.
func answered(w http.ResponseWriter, r *http.Request, err error, done, format string, args ...any) error {
	flash := &web.Flash{Kind: ui.Success, Message: done}
	switch {
	case passing(err):
		flash = &web.Flash{Kind: ui.Error, Message: fault.As(err).Message}
	case err != nil:
		return err
	}
	web.Redirect(w, r, string(web.FromContext(r.Context()).Link(format, args...)), flash)
	return nil
}

// passing reports whether an error is about the present state of things.
func passing(err error) bool {
	return fault.Is(err, fault.Conflict) || fault.Is(err, fault.RateLimited) || fault.Is(err, fault.Unavailable)
}

// refused shows a form again that was refused, with its status and what was
// typed. htmx keeps the form by itself when the provider is in trouble.
func refused(w http.ResponseWriter, r *http.Request, err error) (status int, shown *fault.Error) {
	known := fault.As(err)
	switch {
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.Conflict):
		return http.StatusUnprocessableEntity, known
	case passing(err) && !web.IsFragmentRequest(r):
		if known.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(known.RetryAfter.Seconds()))))
		}
		return httpserver.Status(known.Kind), known
	}
	return 0, nil
}

func (p *MemberPages) list(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	after, err := identity.ParseMemberCursor(r.URL.Query().Get("after"))
	if err != nil {
		return fault.New(fault.NotFound, "This page of the list does not exist.")
	}
	shown := membersView{search: r.URL.Query().Get("q"), isFirst: after.IsZero()}
	status := http.StatusOK
	shown.page, err = p.roster.List(r.Context(), access.Actor(), identity.MemberListing{Search: shown.search, After: after})
	switch {
	case fault.Is(err, fault.Invalid): // the page says so below its search
		status, shown.refused = http.StatusUnprocessableEntity, fault.As(err)
	case err != nil:
		return err
	}
	// Who types waits for the provider with no letter.
	isPart := web.IsFragmentRequest(r) && r.Header.Get("HX-Target") == memberListTarget
	if mayInvite(access) && shown.isFirst && !isPart {
		shown.invitations, err = p.roster.Invitations(r.Context(), access)
		switch {
		case passing(err): // the members are known here, so they are shown all the same
			shown.trouble = fault.As(err)
		case err != nil:
			return err
		}
	}
	return web.Render(w, r, status, "Members", membersPage(access, shown))
}

// The ids of what a search of the list replaces: the list, and how many it has.
const (
	memberListTarget  = "member-list"
	memberCountTarget = "member-count"
)

// membersView is what the list shows.
type membersView struct {
	search      string // as it was typed
	page        identity.MemberPage
	isFirst     bool
	refused     *fault.Error // nil when the search is good
	invitations []identity.Invitation
	// trouble is why the invitations are not known, nil when they are.
	trouble *fault.Error
}

// link leads to the part of the list after a place, of the same search.
func (v membersView) link(shell *web.Shell, after identity.MemberCursor) templ.SafeURL {
	return shell.Link("/members") + web.Query(map[string]string{"q": v.search, "after": after.String()})
}

func memberCount(page identity.MemberPage) string {
	switch count := len(page.Members); {
	case count == 0:
		return "No members"
	case !page.Next.IsZero():
		return strconv.Itoa(count) + " members, and more on the next page"
	case count == 1:
		return "1 member"
	default:
		return strconv.Itoa(count) + " members"
	}
}

func (p *MemberPages) showInvite(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.roster.AuthorizeInvitations(access.Actor()); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Invite somebody", invitePage(access, identity.InvitationDraft{Role: string(identity.RoleMember)}, nil))
}

func (p *MemberPages) invite(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	if err := p.roster.AuthorizeInvitations(access.Actor()); err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	draft := identity.InvitationDraft{Email: r.PostForm.Get("email"), Role: r.PostForm.Get("role")}
	sent, err := p.roster.Invite(r.Context(), access, draft)
	if status, shown := refused(w, r, err); shown != nil {
		return web.Render(w, r, status, "Invite somebody", invitePage(access, draft, shown))
	}
	return answered(w, r, err, "An invitation was sent to "+sent.Email+".", "/members")
}

func (p *MemberPages) resend(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	sent, err := p.roster.Resend(r.Context(), access, invitationOf(r))
	return answered(w, r, err, "The invitation was sent to "+sent.Email+" again.", "/members")
}

func (p *MemberPages) confirmRevoke(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	invitation, err := p.roster.Invitation(r.Context(), access, invitationOf(r))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Revoke an invitation", ui.Confirm(revocation(web.FromContext(r.Context()), invitation)))
}

func (p *MemberPages) revoke(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	err := p.roster.Revoke(r.Context(), access, invitationOf(r))
	return answered(w, r, err, "The invitation was revoked.", "/members")
}

func (p *MemberPages) confirmLeave(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	return web.Render(w, r, http.StatusOK, "Leave "+access.Tenant.Name, ui.Confirm(departure(web.FromContext(r.Context()), access)))
}

func (p *MemberPages) leave(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	err := p.roster.Remove(r.Context(), access, access.Member.ID)
	if err != nil {
		return answered(w, r, err, "", "/members")
	}
	web.Redirect(w, r, httpserver.PublicAddress(r.Context(), "/"), &web.Flash{Kind: ui.Success, Message: "You left " + access.Tenant.Name + "."})
	return nil
}

func (p *MemberPages) show(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.Member(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, member.Name(), memberPage(access, member, string(member.Role), nil))
}

func (p *MemberPages) changeRole(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.AuthorizeChange(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	if err := httpserver.ParseForm(r); err != nil {
		return err
	}
	role := r.PostForm.Get("role")
	changed, err := p.roster.ChangeRole(r.Context(), access, member.ID, role)
	if status, shown := refused(w, r, err); shown != nil {
		return web.Render(w, r, status, member.Name(), memberPage(access, member, role, shown))
	}
	return answered(w, r, err, member.Name()+" is "+article(changed.Role)+" now.", "/members/%s", member.ID)
}

func (p *MemberPages) confirmRemove(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.AuthorizeRemoval(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	if isSelf(access, member) {
		return p.confirmLeave(w, r, access)
	}
	return web.Render(w, r, http.StatusOK, "Remove "+member.Name(), ui.Confirm(removal(web.FromContext(r.Context()), access, member)))
}

func (p *MemberPages) remove(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.AuthorizeRemoval(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	if isSelf(access, member) {
		return p.leave(w, r, access)
	}
	err = p.roster.Remove(r.Context(), access, member.ID)
	if passing(err) {
		return answered(w, r, err, "", "/members/%s", member.ID)
	}
	return answered(w, r, err, member.Name()+" was removed.", "/members")
}

func (p *MemberPages) confirmTransfer(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.AuthorizeTransfer(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, "Hand over to "+member.Name(), ui.Confirm(handover(web.FromContext(r.Context()), access, member)))
}

func (p *MemberPages) transfer(w http.ResponseWriter, r *http.Request, access identity.Access) error {
	member, err := p.roster.AuthorizeTransfer(r.Context(), access.Actor(), userOf(r))
	if err != nil {
		return err
	}
	_, err = p.roster.Transfer(r.Context(), access, member.ID)
	return answered(w, r, err, member.Name()+" is an owner now, and you are an admin.", "/members/%s", member.ID)
}

// The questions before something that cannot be taken back.

func revocation(shell *web.Shell, i identity.Invitation) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "revoke-" + i.ID,
		Title:        "Revoke the invitation of " + i.Email + "?",
		Description:  "The link in the mail stops working. You can invite them again.",
		Action:       shell.Link("/members/invitations/%s/revoke", i.ID),
		ConfirmLabel: "Revoke invitation",
		CancelHref:   shell.Link("/members"),
	}
}

func departure(shell *web.Shell, access identity.Access) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "leave",
		Title:        "Leave " + access.Tenant.Name + "?",
		Description:  "You lose access at once, and come back only if somebody invites you. What you made stays.",
		Action:       shell.Link("/members/leave"),
		ConfirmLabel: "Leave organization",
		CancelHref:   shell.Link("/members"),
	}
}

func removal(shell *web.Shell, access identity.Access, member identity.Member) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "remove",
		Title:        "Remove " + member.Name() + " from " + access.Tenant.Name + "?",
		Description:  "They lose access at once. What they made stays.",
		Action:       shell.Link("/members/%s/remove", member.ID),
		ConfirmLabel: "Remove member",
		CancelHref:   shell.Link("/members/%s", member.ID),
	}
}

func handover(shell *web.Shell, access identity.Access, member identity.Member) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID:           "transfer",
		Title:        "Make " + member.Name() + " the owner in your place?",
		Description:  "You become an admin of " + access.Tenant.Name + ". Only an owner can make you one again.",
		Action:       shell.Link("/members/%s/transfer", member.ID),
		ConfirmLabel: "Hand over",
		CancelHref:   shell.Link("/members/%s", member.ID),
	}
}

func isSelf(access identity.Access, member identity.Member) bool {
	return member.ID == access.Member.ID
}

func mayInvite(access identity.Access) bool { return access.Actor().Allows(identity.UsersManage) }

func roleOptions(roles []identity.Role) []ui.Option {
	options := make([]ui.Option, len(roles))
	for n, role := range roles {
		options[n] = ui.Option{Value: string(role), Label: roleLabel(role)}
	}
	return options
}

// selectable returns the role that a form shows as chosen: what was sent, unless
// it is none of the choices.
func selectable(roles []identity.Role, chosen, fallback string) string {
	if slices.Contains(roles, identity.Role(chosen)) {
		return chosen
	}
	return cmp.Or(fallback, string(identity.RoleMember))
}

// roleVariant lets who is in charge stand out.
func roleVariant(role identity.Role) ui.Variant {
	if role == identity.RoleOwner || role == identity.RoleAdmin {
		return ui.Secondary
	}
	return ui.Outline
}

const rolesHint = "Admins manage members and everything else but owners. Members make projects and edit their own. Viewers see what is public."
