// Package cached keeps in memory what the identity module would read from the
// database for every request.
package cached

import (
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/cache"
	"github.com/tenonhq/tenon/platform/tenant"
)

var _ identity.Admissions = (*Admissions)(nil)

// Admissions implements [identity.Admissions]. It is off until it is switched on by
// whoever hears of changes, and what belongs to a tenant is forgotten by its schema.
type Admissions struct {
	*cache.Scoped[admissionKey, tenant.Schema, identity.Admission]
}

type admissionKey struct{ slug, accountID string }

// NewAdmissions returns room for size admissions, each of which is kept for ttl at
// most.
func NewAdmissions(size int, ttl time.Duration) *Admissions {
	return &Admissions{cache.NewScoped[admissionKey, tenant.Schema, identity.Admission](size, ttl)}
}

// Now implements [identity.Admissions].
func (a *Admissions) Now() identity.Moment { return identity.Moment(a.Begin()) }

// Find implements [identity.Admissions].
func (a *Admissions) Find(slug, accountID string) (identity.Admission, bool) {
	return a.Get(admissionKey{slug, accountID})
}

// Keep implements [identity.Admissions].
func (a *Admissions) Keep(slug string, admission identity.Admission, since identity.Moment) {
	a.Put(admissionKey{slug, admission.Member.ID}, admission.Tenant.Schema, admission, cache.Ticket(since))
}
