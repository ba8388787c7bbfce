package rest

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/httpserver"
)

const (
	membersPath     = "/members"
	memberPath      = membersPath + "/{user}"
	invitationsPath = "/invitations"
	invitationPath  = invitationsPath + "/{invitation}"
)

// UserList is one page of members.
type UserList struct {
	Items []User  `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"Pass it as after to get the next page; null on the last one."`
}

func userListOf(ctx context.Context, page identity.MemberPage) UserList {
	list := UserList{Items: make([]User, len(page.Members))}
	for i, member := range page.Members {
		list.Items[i] = userOf(ctx, member)
	}
	if !page.Next.IsZero() {
		list.Next = new(page.Next.String())
	}
	return list
}

// Invitation is an invitation that was not answered yet.
type Invitation struct {
	ID        string     `json:"id" doc:"The invitation's id at the identity provider."`
	Email     string     `json:"email"`
	Role      string     `json:"role" enum:"admin,member,viewer"`
	InvitedBy string     `json:"invited_by" doc:"The id of the user who sent it; empty when that is not known."`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func invitationOf(i identity.Invitation) Invitation {
	invitation := Invitation{ID: i.ID, Email: i.Email, Role: string(i.Role), InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt.UTC()}
	if !i.ExpiresAt.IsZero() {
		invitation.ExpiresAt = new(i.ExpiresAt.UTC())
	}
	return invitation
}

// InvitationList is all of a tenant's invitations.
type InvitationList struct {
	Items []Invitation `json:"items" nullable:"false"`
}

// memberAPI holds the operations' handlers.
type memberAPI struct{ roster *identity.Roster }

func registerMembers(to huma.API, roster *identity.Roster) {
	api := &memberAPI{roster}
	manage := may(roster.AuthorizeInvitations)
	const provider = " The identity provider is asked first: when it is busy or away you get 429 or 503, and nothing has changed."
	register(to, operation{
		id: "list-members", method: http.MethodGet, path: membersPath, authorize: may(roster.AuthorizeView),
		summary: "List members", description: "Lists the active members in pages, those who joined first at the top. The Link header leads to the first page and the next one.",
	}, api.list)
	register(to, operation{
		id: "get-member", method: http.MethodGet, path: memberPath, authorize: mayDo(roster.Member),
		summary: "Get a member", description: "Gets somebody who is a member of the organization now.",
	}, api.get)
	register(to, operation{
		id: "update-member", method: http.MethodPatch, path: memberPath, authorize: mayDo(roster.AuthorizeChange),
		summary:     "Change a member's role",
		description: "To make somebody an owner, or an owner something else, takes an owner. The last owner stays one." + provider,
		errors:      []int{http.StatusConflict},
	}, api.update)
	register(to, operation{
		id: "remove-member", method: http.MethodDelete, path: memberPath, authorize: mayDo(roster.AuthorizeRemoval),
		summary: "Remove a member, or leave", description: "Everybody may remove themselves but the last owner. What they made stays." + provider,
		status: http.StatusNoContent, errors: []int{http.StatusConflict},
	}, api.remove)
	// Whether there is an ownership to give is asked later: a repetition under an
	// Idempotency-Key gets the first answer, though it is given away by then.
	register(to, operation{
		id: "transfer-ownership", method: http.MethodPost, path: memberPath + "/transfer-ownership", authorize: mayDo(roster.Member),
		summary: "Hand your ownership to a member", description: "They become an owner in your place, and you an administrator." + provider,
		errors: []int{http.StatusConflict},
	}, api.transfer)

	register(to, operation{
		id: "list-invitations", method: http.MethodGet, path: invitationsPath, authorize: manage,
		summary: "List invitations", description: "Lists the invitations that were not answered yet, the newest first.",
	}, api.listInvitations)
	register(to, operation{
		id: "create-invitation", method: http.MethodPost, path: invitationsPath, authorize: manage,
		summary: "Invite somebody", description: "Sends an invitation by email." + provider,
		status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, api.invite)
	register(to, operation{
		id: "get-invitation", method: http.MethodGet, path: invitationPath, authorize: api.mayManageInvitation(),
		summary: "Get an invitation", description: "Gets an invitation that was not answered yet.",
	}, api.getInvitation)
	// Whether it is there is asked later: a repetition under an Idempotency-Key
	// gets the first answer, though the invitation is void by then.
	register(to, operation{
		id: "resend-invitation", method: http.MethodPost, path: invitationPath + "/resend", authorize: manage,
		summary: "Send an invitation again", description: "The old one becomes void; the new one has an id of its own." + provider,
		status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, api.resend)
	register(to, operation{
		id: "revoke-invitation", method: http.MethodDelete, path: invitationPath, authorize: api.mayManageInvitation(),
		summary: "Revoke an invitation", description: "The link in its email stops working." + provider, status: http.StatusNoContent,
	}, api.revoke)
}

// operation is what sets one operation on a tenant's people or settings apart.
type operation struct {
	id, method, path, summary, description string
	tag                                    string // "" is Members
	// authorize decides whether the request may go on, before its input is
	// looked at.
	authorize func(huma.Context, func(huma.Context))
	status    int   // of success; 0 is 200
	errors    []int // beyond those that every operation of a tenant has
}

func register[I, O any](to huma.API, o operation, handler func(context.Context, *I) (*O, error)) {
	httpserver.Register(to, huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description,
		Tags: []string{cmp.Or(o.tag, "Members")}, DefaultStatus: o.status, Middlewares: huma.Middlewares{o.authorize}, Errors: o.errors,
	}, handler)
}

// may returns a middleware that lets those pass whom check allows.
func may(check func(identity.Actor) error) func(huma.Context, func(huma.Context)) {
	return httpserver.Guard(func(ctx context.Context) error { return check(identity.AccessOf(ctx).Actor()) })
}

// mayDo returns a middleware that lets those pass whom check allows to do
// something to the member in the path.
func mayDo(check func(context.Context, identity.Actor, string) (identity.Member, error)) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		httpserver.Guard(func(c context.Context) error {
			_, err := check(c, identity.AccessOf(c).Actor(), ctx.Param("user"))
			return err
		})(ctx, next)
	}
}

// mayManageInvitation lets those pass who may do something to the invitation in
// the path.
func (a *memberAPI) mayManageInvitation() func(huma.Context, func(huma.Context)) {
	return httpserver.GuardValue(invitationKey{}, func(ctx context.Context, param func(string) string) (identity.Invitation, error) {
		return a.roster.Invitation(ctx, identity.AccessOf(ctx), param("invitation"))
	})
}

type invitationKey struct{}

// pathOf returns the path of something of the tenant's.
func pathOf(ctx context.Context, path string) string {
	return tenantPath(identity.AccessOf(ctx).Tenant, path)
}

func tenantPath(t tenancy.Tenant, path string) string {
	return httpserver.TenantAPIPath(t.Slug.String(), path)
}

type listMembersInput struct {
	Role  string `query:"role" enum:"owner,admin,member,viewer"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	After string `query:"after" doc:"The next of the page before. What is in it may change."`
}

// link returns the Link header of a page.
func (in *listMembersInput) link(ctx context.Context, next identity.MemberCursor) string {
	return httpserver.PageLinks(pathOf(ctx, membersPath), map[string]string{"role": in.Role, "limit": strconv.Itoa(in.Limit)}, "after", next.String())
}

type listMembersOutput struct {
	Link string `header:"Link" doc:"Where the first page is (rel=first) and the next one (rel=next), as RFC 8288 has it."`
	Body UserList
}

func (a *memberAPI) list(ctx context.Context, in *listMembersInput) (*listMembersOutput, error) {
	after, err := identity.ParseMemberCursor(in.After)
	if err != nil {
		return nil, err
	}
	page, err := a.roster.List(ctx, identity.AccessOf(ctx).Actor(), identity.MemberListing{Role: identity.Role(in.Role), After: after, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return &listMembersOutput{Link: in.link(ctx, page.Next), Body: userListOf(ctx, page)}, nil
}

type memberInput struct {
	User string `path:"user" doc:"The user's id." example:"user_2abc"`
}

type memberOutput struct{ Body User }

func (a *memberAPI) get(ctx context.Context, in *memberInput) (*memberOutput, error) {
	member, err := a.roster.Member(ctx, identity.AccessOf(ctx).Actor(), in.User)
	if err != nil {
		return nil, err
	}
	return &memberOutput{Body: userOf(ctx, member)}, nil
}

type updateMemberInput struct {
	User string `path:"user" doc:"The user's id." example:"user_2abc"`
	Body struct {
		Role string `json:"role" enum:"owner,admin,member,viewer"`
	}
}

func (a *memberAPI) update(ctx context.Context, in *updateMemberInput) (*memberOutput, error) {
	member, err := a.roster.ChangeRole(ctx, identity.AccessOf(ctx), in.User, in.Body.Role)
	if err != nil {
		return nil, err
	}
	return &memberOutput{Body: userOf(ctx, member)}, nil
}

func (a *memberAPI) remove(ctx context.Context, in *memberInput) (*struct{}, error) {
	return nil, a.roster.Remove(ctx, identity.AccessOf(ctx), in.User)
}

func (a *memberAPI) transfer(ctx context.Context, in *memberInput) (*memberOutput, error) {
	member, err := a.roster.Transfer(ctx, identity.AccessOf(ctx), in.User)
	if err != nil {
		return nil, err
	}
	return &memberOutput{Body: userOf(ctx, member)}, nil
}

type listInvitationsOutput struct{ Body InvitationList }

func (a *memberAPI) listInvitations(ctx context.Context, _ *struct{}) (*listInvitationsOutput, error) {
	found, err := a.roster.Invitations(ctx, identity.AccessOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &listInvitationsOutput{Body: InvitationList{Items: make([]Invitation, len(found))}}
	for n, invitation := range found {
		out.Body.Items[n] = invitationOf(invitation)
	}
	return out, nil
}

type inviteInput struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com"`
		Role  string `json:"role" enum:"admin,member,viewer"`
	}
}

type inviteOutput struct {
	Location string `header:"Location" doc:"Where the invitation is."`
	Body     Invitation
}

func sentOutput(ctx context.Context, i identity.Invitation) *inviteOutput {
	return &inviteOutput{Location: pathOf(ctx, invitationsPath+"/"+url.PathEscape(i.ID)), Body: invitationOf(i)}
}

func (a *memberAPI) invite(ctx context.Context, in *inviteInput) (*inviteOutput, error) {
	sent, err := a.roster.Invite(ctx, identity.AccessOf(ctx), identity.InvitationDraft{Email: in.Body.Email, Role: in.Body.Role})
	if err != nil {
		return nil, err
	}
	return sentOutput(ctx, sent), nil
}

type invitationInput struct {
	Invitation string `path:"invitation" doc:"The invitation's id." example:"orginv_2abc"`
}

type invitationOutput struct{ Body Invitation }

func (a *memberAPI) getInvitation(ctx context.Context, _ *invitationInput) (*invitationOutput, error) {
	invitation, _ := ctx.Value(invitationKey{}).(identity.Invitation)
	return &invitationOutput{Body: invitationOf(invitation)}, nil
}

func (a *memberAPI) resend(ctx context.Context, in *invitationInput) (*inviteOutput, error) {
	sent, err := a.roster.Resend(ctx, identity.AccessOf(ctx), in.Invitation)
	if err != nil {
		return nil, err
	}
	return sentOutput(ctx, sent), nil
}

func (a *memberAPI) revoke(ctx context.Context, in *invitationInput) (*struct{}, error) {
	return nil, a.roster.Revoke(ctx, identity.AccessOf(ctx), in.Invitation)
}
