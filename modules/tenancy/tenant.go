package tenancy

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"github.com/tenonhq/tenon/platform/tenant"
)

// Tenant is one organization's place in the product.
type Tenant struct {
	// ID is the organization's id at the identity provider, case-sensitive.
	ID string
	// Name is the organization's name for display.
	Name string
	// Slug is how URLs name the tenant; unique among all tenants.
	Slug Slug
	// RequestedSlug is the slug the organization has at the identity provider.
	// It differs from Slug while that one is taken, reserved or not valid.
	RequestedSlug string
	// Schema is where the tenant's data lives; it never changes.
	Schema tenant.Schema
	// SchemaVersion is the migration that the schema is at. It is read from the
	// registry and never written by this module: it moves with the schema.
	SchemaVersion string
	ImageURL      string
	// ProjectsPublic is whether a new project is public unless its maker says
	// otherwise. It is the tenant's own choice, of which the identity provider
	// knows nothing.
	ProjectsPublic bool
	// Active is false while the tenant is suspended: nobody gets in, nothing
	// is lost.
	Active bool
	// CreatedAt is when the organization was created.
	CreatedAt time.Time
	UpdatedAt time.Time
	// SuspendedAt is zero while the tenant is active.
	SuspendedAt time.Time
	// DeletedAt is when the organization was deleted; its data is purged later.
	DeletedAt time.Time
}

// Deleted reports whether the tenant's organization was deleted.
func (t Tenant) Deleted() bool { return !t.DeletedAt.IsZero() }

const (
	maxSchemaSlug = 40
	schemaDigest  = 8
)

// SchemaName derives the name of the schema of the organization with id: what
// is readable of the slug it had when it was created, and 40 bits of the id's
// hash. Ids that differ in case alone are different ids, and slugs that look
// the same once reduced ("a-b", "a_b") still get different schemas. The
// registry's unique index catches the collision that 40 bits leave possible.
func SchemaName(id, slug string) tenant.Schema {
	var reduced strings.Builder
	for _, r := range strings.ToLower(slug) {
		if reduced.Len() == maxSchemaSlug {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			reduced.WriteRune(r)
		case r == '-':
			reduced.WriteByte('_')
		}
	}
	return tenant.MustParse("tenant_" + reduced.String() + "_" + digest(id)[:schemaDigest])
}

// digest is a lower-case base32 text of id's SHA-256.
func digest(id string) string {
	sum := sha256.Sum256([]byte(id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
}
