package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Settings changes what an organization is called and where it is found, and
// ends it. All of that is the provider's: a change is made there first, and what
// the provider answers goes through [Sync.Apply], as the webhook of the same
// change will. What new projects are like is the tenant's own, and stored after
// that. It takes [OrganizationManage], which owners have.
type Settings struct {
	tenants  *tenancy.Service
	provider Provider
	sync     *Sync
	now      func() time.Time
}

// NewSettings returns the use cases over their ports.
func NewSettings(tenants *tenancy.Service, provider Provider, sync *Sync) *Settings {
	return &Settings{tenants: tenants, provider: provider, sync: sync, now: time.Now}
}

// SettingsChange is what to change; nil leaves a setting as it is.
type SettingsChange struct {
	Name *string
	Slug *string
	// ProjectsPublic is [tenancy.Tenant.ProjectsPublic].
	ProjectsPublic *bool
}

// MaxOrganizationNameLength is that of an organization's name, in characters.
const MaxOrganizationNameLength = 100

// ErrSettingsChanged is what a caller gets whose change is to be made to a version
// that is no longer the settings'.
var ErrSettingsChanged = fault.New(fault.PreconditionFailed, "The settings were changed by somebody else in the meantime. Get them again and look at what is there now.")

// Errors of the use cases.
var (
	errSlugTaken = fault.New(fault.Conflict, "Another organization has this address.").
			WithField("slug", "Another organization has this address. Choose another one.")
	errUnconfirmed = fault.InvalidFields(fault.Field{Name: "confirmation", Message: "Type the organization's address exactly as it is shown."})
)

// Version names one state of an organization's settings, so that whoever changes
// them overwrites nothing that they have not seen.
func (s *Settings) Version(t tenancy.Tenant) string {
	hash := sha256.New()
	for _, setting := range []string{t.ID, t.Name, t.Slug.String(), t.ImageURL, strconv.FormatBool(t.ProjectsPublic)} {
		fmt.Fprintf(hash, "%d:%s", len(setting), setting)
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

// Authorize returns nil if the actor may change and end the organization, and
// otherwise [ErrForbidden].
func (s *Settings) Authorize(actor Actor) error { return actor.Require(OrganizationManage) }

// Change makes a change and returns the tenant as it is then. It is made only to one
// of versions, see [Settings.Version]; nil are all. The provider takes no condition,
// so of two changes of one version that are made in the same moment, the later one
// stays. Errors: [ErrForbidden], [fault.Invalid] with every field to mend,
// [ErrSettingsChanged], [fault.Conflict] with a field "slug" for one that another
// organization has, and the provider's.
func (s *Settings) Change(ctx context.Context, access Access, versions []string, change SettingsChange) (tenancy.Tenant, error) {
	if err := s.Authorize(access.Actor()); err != nil {
		return tenancy.Tenant{}, err
	}
	change, err := change.parse(access.Tenant)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	// The registry and the sync's transaction name their tenants themselves.
	ctx = tenant.NewContext(ctx, tenant.Schema{})
	if versions != nil {
		// What is kept of the access may be a moment old.
		current, err := s.tenants.Get(ctx, access.Tenant.ID)
		if err != nil {
			return tenancy.Tenant{}, fault.Wrap("change settings", err)
		}
		if !slices.Contains(versions, s.Version(current)) {
			return tenancy.Tenant{}, ErrSettingsChanged
		}
	}
	if change.Slug != nil {
		holder, err := s.tenants.Resolve(ctx, *change.Slug)
		switch {
		case err == nil && holder.ID != access.Tenant.ID && !holder.Deleted():
			return tenancy.Tenant{}, errSlugTaken
		case err != nil && !fault.Is(err, fault.NotFound):
			return tenancy.Tenant{}, fault.Wrap("change settings", err)
		}
	}
	changed, err := s.make(ctx, access.Tenant, change)
	return changed, fault.Wrap("change settings", err)
}

// make makes a change that was found valid, the provider's part of it first.
func (s *Settings) make(ctx context.Context, t tenancy.Tenant, change SettingsChange) (tenancy.Tenant, error) {
	if change.Name != nil || change.Slug != nil {
		organization, err := s.provider.UpdateOrganization(ctx, t.ID, change)
		if err == nil {
			err = s.sync.Apply(ctx, Observation{Organizations: []Organization{organization}})
		}
		if err == nil {
			t, err = s.tenants.Get(ctx, t.ID)
		}
		if err != nil {
			return tenancy.Tenant{}, err
		}
	}
	if change.ProjectsPublic == nil {
		return t, nil
	}
	return s.tenants.SetProjectsPublic(ctx, t.ID, *change.ProjectsPublic)
}

// parse returns the change without what would change nothing.
func (c SettingsChange) parse(t tenancy.Tenant) (SettingsChange, error) {
	var parsed SettingsChange
	if c.ProjectsPublic != nil && *c.ProjectsPublic != t.ProjectsPublic {
		parsed.ProjectsPublic = c.ProjectsPublic
	}
	var fields []fault.Field
	if c.Name != nil {
		name, err := parseOrganizationName(*c.Name)
		switch {
		case err != nil:
			fields = append(fields, fault.As(err).Fields...)
		case name != t.Name:
			parsed.Name = &name
		}
	}
	if c.Slug != nil {
		slug, err := tenancy.ParseSlug(strings.TrimSpace(*c.Slug))
		switch {
		// A slug that was made for the tenant is kept as it is spelled.
		case strings.TrimSpace(*c.Slug) == t.Slug.String():
		case err != nil:
			fields = append(fields, fault.As(err).Fields...)
		default:
			text := slug.String()
			parsed.Slug = &text
		}
	}
	if len(fields) > 0 {
		return SettingsChange{}, fault.InvalidFields(fields...)
	}
	return parsed, nil
}

// AuthorizeDelete is [Settings.Authorize] for ending the organization, which takes a
// person: an API key gets [ErrPersonal].
func (s *Settings) AuthorizeDelete(actor Actor) error {
	if err := s.Authorize(actor); err != nil {
		return err
	}
	return actor.RequirePerson()
}

// Delete ends the organization at the provider and here: nobody gets in any more,
// and its data is destroyed when the grace period is over. confirmation has to be
// the tenant's slug. Errors: [ErrForbidden], [ErrPersonal] for an API key,
// [fault.Invalid] with a field "confirmation", and the provider's.
func (s *Settings) Delete(ctx context.Context, access Access, confirmation string) error {
	if err := s.AuthorizeDelete(access.Actor()); err != nil {
		return err
	}
	if strings.TrimSpace(confirmation) != access.Tenant.Slug.String() {
		return errUnconfirmed
	}
	ctx = tenant.NewContext(ctx, tenant.Schema{})
	if err := s.provider.DeleteOrganization(ctx, access.Tenant.ID); err != nil && !fault.Is(err, fault.NotFound) { // is gone already
		return fault.Wrap("delete organization", err)
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	ended := Organization{ID: access.Tenant.ID, CreatedAt: now, UpdatedAt: now, DeletedAt: now}
	return fault.Wrap("delete organization", s.sync.Apply(ctx, Observation{Organizations: []Organization{ended}}))
}

// Domain is one that an organization claims at the provider.
type Domain struct {
	Name string
	// Verified is whether the provider believes it.
	Verified   bool
	Enrollment Enrollment
}

// Enrollment is how somebody with an address of a domain gets into its
// organization.
type Enrollment string

// The ways in. A way that is not known here is none by itself.
const (
	EnrollByHand       Enrollment = "by hand"
	EnrollByInvitation Enrollment = "by invitation"
	EnrollBySuggestion Enrollment = "by suggestion"
)

// Domains returns the domains that the organization claims, by name. They are
// the provider's and not kept here. Errors: [ErrForbidden], and the provider's.
func (s *Settings) Domains(ctx context.Context, access Access) ([]Domain, error) {
	if err := s.Authorize(access.Actor()); err != nil {
		return nil, err
	}
	domains, err := s.provider.Domains(ctx, access.Tenant.ID)
	return domains, fault.Wrap("list domains", err)
}
