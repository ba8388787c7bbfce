package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Service decides who gets into a tenant and answers who is there.
type Service struct {
	tenants   *tenancy.Service
	directory Directory
	members   Members
	provider  Provider
	sync      *Sync
	log       *slog.Logger
	now       func() time.Time

	admissions Admissions
}

// Remember makes the service let people in again by what it knew a moment ago. It is
// called before the service is used.
func (s *Service) Remember(admissions Admissions) { s.admissions = admissions }

// NewService returns a service over its ports.
func NewService(tenants *tenancy.Service, directory Directory, members Members, provider Provider, sync *Sync, log *slog.Logger) *Service {
	return &Service{tenants: tenants, directory: directory, members: members, provider: provider, sync: sync, log: log, now: time.Now, admissions: noAdmissions{}}
}

// seenInterval is how exact a member's last-seen time is: more often it is not
// written, so that reading does not become writing.
const seenInterval = 5 * time.Minute

// Enter lets the person of a session into the tenant that URLs name slug, and
// returns a context whose statements run in that tenant. The tenant's own row of
// the person decides, not the token.
//
// Errors: [tenancy.ErrNotFound] for a tenant that does not exist and for one
// the person is no member of, alike; [tenancy.ErrSuspended] for a member of a
// suspended tenant.
//
// Who could get in where the tenant is now, and asks where it was before a rename,
// gets a [*MovedError]. To everybody else that address is one of no tenant.
//
// When the provider's webhook has not come yet, an organization or a membership
// that the session names is asked for at the provider and brought in by the
// same use case as the webhook's.
func (s *Service) Enter(ctx context.Context, session Session, slug string) (context.Context, Access, error) {
	since := s.admissions.Now()
	if known, ok := s.admissions.Find(slug, session.AccountID); ok {
		if err := session.Key.admits(known.Tenant.ID, known.Member); err != nil {
			return ctx, Access{}, fault.Wrap("enter tenant", refusal(err))
		}
		ctx, access := s.admit(ctx, Access{Session: session, Tenant: known.Tenant, Member: known.Member}, slug, since)
		return ctx, access, nil
	}
	access, err := s.enter(ctx, session, slug)
	if errors.Is(err, errUnknownTenant) {
		if moved := s.moved(ctx, session, slug); moved != nil {
			return ctx, Access{}, moved
		}
	}
	if isUnknown(err) && session.ActiveOrganization.ID != "" && s.mayBeNew(ctx, session, slug) {
		if err := s.observe(ctx, session); err != nil {
			return ctx, Access{}, err
		}
		since = s.admissions.Now()
		access, err = s.enter(ctx, session, slug)
	}
	if err != nil {
		return ctx, Access{}, fault.Wrap("enter tenant", refusal(err))
	}
	s.admissions.Keep(slug, Admission{access.Tenant, access.Member}, since)
	ctx, access = s.admit(ctx, access, slug, since)
	return ctx, access, nil
}

// MovedError says where a tenant is that was asked for by a former slug. It is about
// people who get in there, or are told there why not.
type MovedError struct{ Slug tenancy.Slug }

// Error implements error.
func (e *MovedError) Error() string { return "the tenant has another slug now" }

// Unwrap makes it [tenancy.ErrNotFound] to who does not lead people on.
func (e *MovedError) Unwrap() error { return tenancy.ErrNotFound }

// moved returns a [*MovedError] for a former slug of a tenant that the session gets
// into, or is told about, and otherwise nil, or why that is not known.
func (s *Service) moved(ctx context.Context, session Session, slug string) error {
	t, err := s.tenants.ResolveFormer(ctx, slug)
	if err == nil {
		_, err = s.enter(ctx, session, t.Slug.String())
	}
	switch {
	case err == nil, errors.Is(err, tenancy.ErrSuspended), errors.Is(err, tenancy.ErrOutdated):
		return &MovedError{Slug: t.Slug}
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Unauthenticated): // a key is told no more than anybody
		return nil
	}
	return fault.Wrap("look for a former slug", err)
}

// admit returns the context of somebody who was let in by what was true since.
func (s *Service) admit(ctx context.Context, access Access, slug string, since Moment) (context.Context, Access) {
	ctx = tenant.NewContext(ctx, access.Tenant.Schema)
	if access.Session.Key == nil && s.touch(ctx, &access.Member) { // a key is not seen
		s.admissions.Keep(slug, Admission{access.Tenant, access.Member}, since)
	}
	return NewAccessContext(ctx, access), access
}

// errNeverMember sets somebody who never was a member apart from somebody who
// is one no more; to the outside both are [tenancy.ErrNotFound].
var errNeverMember = fault.New(fault.NotFound, tenancy.ErrNotFound.Message)

// errMemberAgain is about a former member to whom the provider has issued a token
// of the organization since: they may be one again. Tokens from before tell nothing,
// so whoever was removed does not make this process ask the provider.
var errMemberAgain = fault.New(fault.NotFound, tenancy.ErrNotFound.Message)

// refusal is what the outside hears of err.
func refusal(err error) error {
	if isUnknown(err) {
		return tenancy.ErrNotFound
	}
	return err
}

func isUnknown(err error) bool {
	return errors.Is(err, errNeverMember) || errors.Is(err, errUnknownTenant) || errors.Is(err, errMemberAgain)
}

var errUnknownTenant = fault.New(fault.NotFound, tenancy.ErrNotFound.Message)

func (s *Service) enter(ctx context.Context, session Session, slug string) (Access, error) {
	t, err := s.tenants.Resolve(ctx, slug)
	switch {
	case fault.Is(err, fault.NotFound):
		return Access{}, errUnknownTenant
	case err != nil:
		return Access{}, err
	}
	if key := session.Key; key != nil && key.TenantID != t.ID {
		return Access{}, errUnknownTenant
	}
	if !s.tenants.Serves(t) {
		return Access{}, s.outdated(ctx, session, t)
	}
	member, err := s.members.ByID(tenant.NewContext(ctx, t.Schema), session.AccountID)
	switch {
	case session.Key != nil && (fault.Is(err, fault.NotFound) || err == nil && !member.IsActive):
		return Access{}, ErrKeyOrphaned
	case fault.Is(err, fault.NotFound):
		return Access{}, errNeverMember
	case err != nil:
		return Access{}, err
	case !member.IsActive && session.ActiveOrganization.ID == t.ID && session.IssuedAt.After(member.UpdatedAt):
		return Access{}, errMemberAgain
	case !member.IsActive:
		return Access{}, tenancy.ErrNotFound
	}
	if err := session.Key.admits(t.ID, member); err != nil {
		return Access{}, err
	}
	if !t.Active {
		return Access{}, tenancy.ErrSuspended
	}
	return Access{Session: session, Tenant: t, Member: member}, nil
}

// outdated tells a member of a tenant whose schema cannot be worked on to come
// back. The directory says who is one, without the tenant's schema; to everybody
// else the tenant is as unknown as ever.
func (s *Service) outdated(ctx context.Context, session Session, t tenancy.Tenant) error {
	ids, err := s.directory.ActiveOrganizationsOf(ctx, session.AccountID)
	switch {
	case err != nil:
		return err
	case slices.Contains(ids, t.ID):
		return tenancy.ErrOutdated
	}
	return errNeverMember
}

// mayBeNew reports whether the slug can be that of the organization in the
// session: nobody can make this process ask the provider about others.
func (s *Service) mayBeNew(ctx context.Context, session Session, slug string) bool {
	if session.ActiveOrganization.Slug == slug {
		return true
	}
	t, err := s.tenants.Get(ctx, session.ActiveOrganization.ID)
	return err == nil && t.Slug.String() == slug
}

// observe brings in what the provider says of the session's organization. That
// the provider does not know it either is no error: the person then is no
// member.
func (s *Service) observe(ctx context.Context, session Session) error {
	observation, err := s.provider.Observe(ctx, session.ActiveOrganization.ID, session.AccountID)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return fault.Wrap("ask the identity provider", err)
	}
	return s.sync.Apply(ctx, observation)
}

// touch records that a member was seen, if that is due. It must not stand in the
// way of what they came for, so a failure is only logged.
func (s *Service) touch(ctx context.Context, member *Member) (touched bool) {
	now := s.now()
	if now.Sub(member.LastSeenAt) < seenInterval {
		return false
	}
	if err := s.members.Touch(ctx, member.ID, now); err != nil {
		s.log.WarnContext(ctx, "a member's last-seen time is not written", "error", err)
		return false
	}
	member.LastSeenAt = now
	return true
}

// ErrLeft is about somebody whose session still names the organization that they
// left, were removed from, or that was deleted.
var ErrLeft = fault.New(fault.NotFound, "You are in no organization any more.")

// Home returns the tenant that "/" leads to for a session: the active
// organization's, else the first of the person's by name. Errors:
// [tenancy.ErrNotFound] when the person has no organization, and [ErrLeft] when
// that is so because they have the session's no more.
func (s *Service) Home(ctx context.Context, session Session) (tenancy.Tenant, error) {
	tenants, err := s.Tenants(ctx, session.AccountID)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	active := session.ActiveOrganization.ID
	isActive := func(t tenancy.Tenant) bool { return t.ID == active }
	if active != "" && !slices.ContainsFunc(tenants, isActive) {
		if err := s.observe(ctx, session); err != nil {
			return tenancy.Tenant{}, err
		}
		if tenants, err = s.Tenants(ctx, session.AccountID); err != nil {
			return tenancy.Tenant{}, err
		}
	}
	if len(tenants) == 0 {
		return tenancy.Tenant{}, s.homeless(ctx, session)
	}
	return tenants[max(0, slices.IndexFunc(tenants, isActive))], nil
}

// homeless says why somebody has no tenant. What the provider knows of the session's
// organization was asked for a moment ago, so a membership that is known and not
// live is over, and not on its way.
func (s *Service) homeless(ctx context.Context, session Session) error {
	active := session.ActiveOrganization.ID
	if active == "" {
		return tenancy.ErrNotFound
	}
	live, err := s.directory.ActiveOrganizationsOf(ctx, session.AccountID)
	if err != nil {
		return fault.Wrap("list organizations", err)
	}
	ever, err := s.directory.OrganizationsOf(ctx, []string{session.AccountID})
	if err != nil {
		return fault.Wrap("list organizations", err)
	}
	if slices.Contains(ever, active) && !slices.Contains(live, active) {
		return ErrLeft
	}
	return tenancy.ErrNotFound
}

// Tenants returns the tenants of the organizations that an account is a member
// of now, ordered by name.
func (s *Service) Tenants(ctx context.Context, accountID string) ([]tenancy.Tenant, error) {
	ids, err := s.directory.ActiveOrganizationsOf(ctx, accountID)
	if err != nil {
		return nil, fault.Wrap("list organizations", err)
	}
	return s.tenants.Among(ctx, ids)
}

// Account returns what is known of an account, and its zero value while nothing
// is.
func (s *Service) Account(ctx context.Context, id string) (Account, error) {
	accounts, err := s.directory.Accounts(ctx, []string{id})
	if err != nil || len(accounts) == 0 {
		return Account{}, fault.Wrap("look up account", err)
	}
	return accounts[0], nil
}

// Members returns those of the members of the tenant in ctx that exist, by id,
// inactive ones included.
func (s *Service) Members(ctx context.Context, ids ...string) (map[string]Member, error) {
	ids = sortedIDs(ids)
	if len(ids) == 0 {
		return nil, nil
	}
	members, err := s.members.ByIDs(ctx, ids)
	if err != nil {
		return nil, fault.Wrap("list members", err)
	}
	byID := make(map[string]Member, len(members))
	for _, member := range members {
		byID[member.ID] = member
	}
	return byID, nil
}

// Profile is what a person may tell on the onboarding page. Empty values leave
// what is known.
type Profile struct {
	FirstName string
	LastName  string
	Phone     string
}

// The longest values of a [Profile], in characters.
const (
	MaxNameLength  = 100
	MaxPhoneLength = 32
)

// normalize trims the profile and returns an error of kind [fault.Invalid]
// that names every value that cannot be kept.
func (p Profile) normalize() (Profile, error) {
	p.FirstName, p.LastName, p.Phone = strings.TrimSpace(p.FirstName), strings.TrimSpace(p.LastName), strings.TrimSpace(p.Phone)
	var fields []fault.Field
	for _, name := range []struct{ field, value string }{{"first_name", p.FirstName}, {"last_name", p.LastName}} {
		switch {
		case utf8.RuneCountInString(name.value) > MaxNameLength:
			fields = append(fields, fault.Field{Name: name.field, Message: "Use at most 100 characters."})
		case !printable(name.value):
			fields = append(fields, fault.Field{Name: name.field, Message: "Use letters that can be printed."})
		}
	}
	digits := 0
	for _, r := range p.Phone {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if p.Phone != "" && (strings.Trim(p.Phone, "+0123456789 ()-./") != "" || digits < 3 || len(p.Phone) > MaxPhoneLength) {
		fields = append(fields, fault.Field{Name: "phone", Message: "Use a phone number, such as +1 555 0100."})
	}
	if len(fields) > 0 {
		return Profile{}, fault.InvalidFields(fields...)
	}
	return p, nil
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// CompleteOnboarding records what a member tells on the onboarding page, and
// that they have seen it. Doing it again is harmless. A name is the account's
// own and changes at the provider, and from there in every tenant; a phone
// number is what this tenant was given.
func (s *Service) CompleteOnboarding(ctx context.Context, access Access, profile Profile) (Member, error) {
	profile, err := profile.normalize()
	if err != nil {
		return Member{}, err
	}
	renamed := profile.FirstName != "" && profile.FirstName != access.Member.FirstName ||
		profile.LastName != "" && profile.LastName != access.Member.LastName
	if renamed {
		account, err := s.provider.UpdateName(ctx, access.Member.ID, profile.FirstName, profile.LastName)
		if err != nil {
			return Member{}, fault.Wrap("rename account", err)
		}
		// The sync's transaction names its tenants itself.
		if err := s.sync.Apply(tenant.NewContext(ctx, tenant.Schema{}), Observation{Accounts: []Account{account}}); err != nil {
			return Member{}, err
		}
	}
	member, err := s.members.CompleteOnboarding(ctx, access.Member.ID, profile.Phone)
	return member, fault.Wrap("complete onboarding", err)
}
