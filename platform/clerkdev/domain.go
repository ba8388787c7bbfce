package clerkdev

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// How people with an address of a domain get into its organization.
var enrollments = []string{"manual_invitation", "automatic_invitation", "automatic_suggestion"}

var domainPattern = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)

type domainResource struct {
	Object                  string                  `json:"object"`
	ID                      string                  `json:"id"`
	OrganizationID          string                  `json:"organization_id"`
	Name                    string                  `json:"name"`
	EnrollmentMode          string                  `json:"enrollment_mode"`
	AffiliationEmailAddress *string                 `json:"affiliation_email_address"`
	Verification            *verificationResource   `json:"verification"`
	TotalPendingInvitations int64                   `json:"total_pending_invitations"`
	TotalPendingSuggestions int64                   `json:"total_pending_suggestions"`
	PublicOrganizationData  *publicOrganizationData `json:"public_organization_data,omitempty"`
	CreatedAt               int64                   `json:"created_at"`
	UpdatedAt               int64                   `json:"updated_at"`
}

// domainResource has a verification when there is one: the Backend API vouches for
// a domain, and nobody here can send mail to it.
func (s *state) domainResource(d *domain) domainResource {
	o := s.Organizations[d.OrganizationID]
	r := domainResource{
		Object: "organization_domain", ID: d.ID, OrganizationID: d.OrganizationID, Name: d.Name, EnrollmentMode: d.Enrollment,
		PublicOrganizationData: &publicOrganizationData{ID: o.ID, Name: o.Name, Slug: o.Slug}, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
	if d.Verified {
		r.Verification = verified()
	}
	return r
}

// domainsOf are an organization's, by name.
func (s *state) domainsOf(organizationID string) []*domain {
	all := slices.DeleteFunc(slices.Collect(maps.Values(s.Domains)), func(d *domain) bool { return d.OrganizationID != organizationID })
	slices.SortFunc(all, func(a, b *domain) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func checkEnrollment(mode string) error {
	if !slices.Contains(enrollments, mode) {
		return errValue("enrollment_mode", "Use one of "+strings.Join(enrollments, ", ")+".")
	}
	return nil
}

func (t *tx) createDomain(o *organization, d domain) (*domain, error) {
	if d.Name == "" {
		return nil, errMissing("name")
	}
	if !domainPattern.MatchString(d.Name) || len(d.Name) > 253 {
		return nil, errFormat("name", "A domain looks like example.com.")
	}
	if err := checkEnrollment(d.Enrollment); err != nil {
		return nil, err
	}
	for _, other := range t.Domains {
		if other.Name == d.Name && (other.OrganizationID == o.ID || other.Verified) {
			return nil, errTaken("name", "That domain is taken.")
		}
	}
	d.ID, d.OrganizationID, d.CreatedAt, d.UpdatedAt = newID("orgdmn"), o.ID, t.now, t.now
	t.Domains[d.ID] = &d
	return &d, t.emit("organizationDomain.created", t.domainResource(&d))
}

func (e *Emulator) listDomains(c *call) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	query, err := c.query("verified", "enrollment_mode")
	if err != nil {
		return nil, err
	}
	found := []domainResource{}
	for _, d := range c.domainsOf(o.ID) {
		if oneOf(query["verified"], strconv.FormatBool(d.Verified)) && oneOf(query["enrollment_mode"], d.Enrollment) {
			found = append(found, c.domainResource(d))
		}
	}
	return listed(query, found, orders[domainResource]{
		"created_at": byCreation(func(d domainResource) (int64, string) { return d.CreatedAt, d.ID }),
		"name":       by(func(d domainResource) string { return d.Name }),
	})
}

// domainParams are what a domain is made of.
type domainParams struct {
	Name           string  `json:"name"`
	EnrollmentMode *string `json:"enrollment_mode"`
	Verified       *bool   `json:"verified"`
}

func (e *Emulator) postDomain(c *call, t *tx) (any, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	var params domainParams
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	mode := enrollments[0]
	if params.EnrollmentMode != nil {
		mode = *params.EnrollmentMode
	}
	made, err := t.createDomain(o, domain{Name: params.Name, Enrollment: mode, Verified: orZero(params.Verified)})
	if err != nil {
		return nil, err
	}
	return t.domainResource(made), nil
}

// domain returns the domain that the path names.
func (c *call) domain() (*domain, error) {
	o, err := c.organization()
	if err != nil {
		return nil, err
	}
	if d := c.Domains[c.r.PathValue("domain")]; d != nil && d.OrganizationID == o.ID {
		return d, nil
	}
	return nil, errNotFound("organization domain")
}

func (e *Emulator) patchDomain(c *call, t *tx) (any, error) {
	known, err := c.domain()
	if err != nil {
		return nil, err
	}
	var params struct {
		EnrollmentMode *string `json:"enrollment_mode"`
		Verified       *bool   `json:"verified"`
	}
	if err := c.decode(&params); err != nil {
		return nil, err
	}
	changed := *known
	if params.EnrollmentMode != nil {
		if err := checkEnrollment(*params.EnrollmentMode); err != nil {
			return nil, err
		}
		changed.Enrollment = *params.EnrollmentMode
	}
	if params.Verified != nil {
		changed.Verified = *params.Verified
	}
	changed.UpdatedAt = t.now
	t.Domains[changed.ID] = &changed
	return t.domainResource(&changed), t.emit("organizationDomain.updated", t.domainResource(&changed))
}

func (e *Emulator) removeDomain(c *call, t *tx) (any, error) {
	known, err := c.domain()
	if err != nil {
		return nil, err
	}
	deleted := deletedResource{Object: "organization_domain", ID: known.ID, Deleted: true}
	delete(t.Domains, known.ID)
	return deleted, t.emit("organizationDomain.deleted", deleted)
}
