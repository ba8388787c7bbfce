package identity

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/tenant"
)

// Founding makes organizations: at the provider first, and from there by
// [Sync.Apply], as the webhook of the same organization will.
type Founding struct {
	tenants   *tenancy.Service
	directory Directory
	provider  Provider
	sync      *Sync
	service   *Service
	first     FirstProject
}

// FirstProject is what puts a project into a tenant that was just founded.
type FirstProject interface {
	// Check returns an error of kind [fault.Invalid] with a field "project" for
	// a name that a project cannot have.
	Check(name string) error
	// Create adds a project to the tenant in ctx, made by the actor. Doing it
	// again with the same name adds nothing.
	Create(ctx context.Context, actor Actor, name string) error
}

// NewFounding returns the use cases over their ports. Without first, a first
// project is not made.
func NewFounding(tenants *tenancy.Service, directory Directory, provider Provider, sync *Sync, service *Service, first FirstProject) *Founding {
	return &Founding{tenants: tenants, directory: directory, provider: provider, sync: sync, service: service, first: first}
}

// Foundation is an organization to be made, as somebody entered it.
type Foundation struct {
	Name string
	// Slug is derived from the name when it is empty.
	Slug string
	// Project is the name of a first project; "" is none.
	Project string
}

// errAddressTaken says at its field which address is.
var errAddressTaken = fault.New(fault.Conflict, "Another organization has this address.")

// ErrUnsettled is what a founder gets whose organization is made, while the provider
// does not show it yet. Trying again goes on from there.
var ErrUnsettled = fault.New(fault.Unavailable, "Your organization is made and being set up. Please try again in a moment: nothing is made twice.")

// Available returns the slug that an organization of this name gets when it asks for
// this one, which may be empty. Errors are of kind [fault.Invalid] and
// [fault.Conflict], with a field "slug" that says what is wrong. Whose a slug is that
// is taken, it does not tell; one that a tenant had before is free. The provider is
// not asked, and may still refuse.
func (f *Founding) Available(ctx context.Context, name, slug string) (string, error) {
	parsed, err := parseFoundingSlug(name, slug)
	if err != nil {
		return "", err
	}
	_, isTaken, err := f.holder(ctx, parsed.String())
	switch {
	case err != nil:
		return "", err
	case isTaken:
		return "", f.taken(ctx, parsed.String())
	}
	return parsed.String(), nil
}

// Found makes the organization, with the person of the session as its owner and the
// first project in it, and returns its tenant. Of what was done before it failed,
// nothing is lost and nothing is done again: the same person founding an organization
// of the same name and slug goes on where that stopped, and gets the same tenant once
// it is complete. Errors: [ErrPersonal], [fault.Invalid] with every field to mend,
// [fault.Conflict] with a field "slug", [ErrUnsettled], and the provider's, of which
// [fault.Forbidden] is about somebody who may not make organizations.
func (f *Founding) Found(ctx context.Context, session Session, entered Foundation) (tenancy.Tenant, error) {
	if session.Key != nil {
		return tenancy.Tenant{}, ErrPersonal
	}
	name, slug, err := f.parse(entered)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	id, err := f.organization(ctx, session.AccountID, name, slug)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	t, err := f.settle(ctx, session.AccountID, id)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	if entered.Project = strings.TrimSpace(entered.Project); entered.Project == "" || f.first == nil {
		return t, nil
	}
	within, access, err := f.service.Enter(ctx, session, t.Slug.String())
	if err == nil {
		err = f.first.Create(within, access.Actor(), entered.Project)
	}
	return t, fault.Wrap("create first project", err)
}

// organization makes the organization at the provider, or finds the one that the
// same form has made before, and returns its id.
func (f *Founding) organization(ctx context.Context, accountID, name, slug string) (string, error) {
	holder, isTaken, err := f.holder(ctx, slug)
	if err != nil {
		return "", err
	}
	if isTaken {
		known, err := f.directory.Organizations(ctx, []string{holder.ID})
		if err != nil {
			return "", fault.Wrap("found organization", err)
		}
		for _, o := range known {
			if isSame(o, accountID, name, slug) {
				return o.ID, nil
			}
		}
		return "", f.taken(ctx, slug)
	}
	made, err := f.provider.CreateOrganization(ctx, accountID, name, slug)
	if !fault.Is(err, fault.Conflict) {
		return made.ID, fault.Wrap("found organization", err)
	}
	// It may be their own: of a form that was sent twice, or one that failed when
	// the organization was made and nothing more.
	observed, unknown := f.provider.ObserveAccount(ctx, accountID)
	if unknown != nil {
		return "", fault.Wrap("found organization", unknown)
	}
	for _, o := range observed.Organizations {
		if isSame(o, accountID, name, slug) {
			return o.ID, nil
		}
	}
	return "", fault.Wrap("found organization", err)
}

func isSame(o Organization, accountID, name, slug string) bool {
	return o.CreatedBy == accountID && o.Name == name && o.Slug == slug && !o.Deleted()
}

// settle brings an organization in, with its founder, and returns its tenant.
func (f *Founding) settle(ctx context.Context, accountID, organizationID string) (tenancy.Tenant, error) {
	observation, err := f.provider.Observe(ctx, organizationID, accountID)
	if fault.Is(err, fault.NotFound) {
		return tenancy.Tenant{}, ErrUnsettled.WithCause(err)
	}
	if err == nil {
		err = f.sync.Apply(tenant.NewContext(ctx, tenant.Schema{}), observation)
	}
	if err != nil {
		return tenancy.Tenant{}, fault.Wrap("found organization", err)
	}
	return f.tenants.Get(ctx, organizationID)
}

// holder returns the tenant that keeps a slug from being somebody else's.
func (f *Founding) holder(ctx context.Context, slug string) (holder tenancy.Tenant, isTaken bool, err error) {
	holder, err = f.tenants.Resolve(ctx, slug)
	if fault.Is(err, fault.NotFound) {
		return tenancy.Tenant{}, false, nil
	}
	return holder, err == nil && !holder.Deleted(), fault.Wrap("look for a slug", err)
}

// suggestions is how many slugs are tried to find one that is free.
const suggestions = 9

// taken says that a slug is taken and, if there is one, which like it is not.
func (f *Founding) taken(ctx context.Context, slug string) error {
	message := "“" + slug + "” is taken. Choose another address."
	for n := 2; n <= suggestions; n++ {
		suffix := "-" + strconv.Itoa(n)
		stem := slug[:min(len(slug), tenancy.MaxSlugLength-len(suffix))]
		if other, err := tenancy.ParseSlug(strings.TrimRight(stem, "-") + suffix); err == nil {
			if _, isTaken, err := f.holder(ctx, other.String()); err == nil && !isTaken {
				message = "“" + slug + "” is taken. “" + other.String() + "” is free."
				break
			}
		}
	}
	return errAddressTaken.WithField("slug", message)
}

// parse returns the name and the slug of what was entered, or everything that is
// wrong with it.
func (f *Founding) parse(entered Foundation) (name, slug string, err error) {
	name, nameErr := parseOrganizationName(entered.Name)
	parsed, slugErr := parseFoundingSlug(entered.Name, entered.Slug)
	if nameErr != nil && strings.TrimSpace(entered.Slug) == "" {
		slugErr = nil // what it is made from has to be mended first
	}
	var projectErr error
	if project := strings.TrimSpace(entered.Project); project != "" && f.first != nil {
		projectErr = f.first.Check(project)
	}
	return name, parsed.String(), fault.JoinInvalid(nameErr, slugErr, projectErr)
}

func parseOrganizationName(text string) (string, error) {
	name := strings.TrimSpace(text)
	var problem string
	switch {
	case name == "":
		problem = "Enter a name."
	case utf8.RuneCountInString(name) > MaxOrganizationNameLength:
		problem = "Use at most 100 characters."
	case !printable(name):
		problem = "Use letters that can be printed."
	default:
		return name, nil
	}
	return "", fault.InvalidFields(fault.Field{Name: "name", Message: problem})
}

func parseFoundingSlug(name, slug string) (tenancy.Slug, error) {
	if slug = strings.TrimSpace(slug); slug != "" {
		return tenancy.ParseSlug(slug)
	}
	derived, err := tenancy.ParseSlug(tenancy.Slugify(name))
	if err != nil {
		return tenancy.Slug{}, fault.InvalidFields(fault.Field{Name: "slug", Message: "The name suggests no address that can be had. Enter one."})
	}
	return derived, nil
}
