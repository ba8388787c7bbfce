package tenant

import (
	"context"
	"fmt"
	"regexp"
)

// MaxSchemaLength is the longest schema name in bytes: PostgreSQL cuts
// identifiers at NAMEDATALEN-1 = 63 bytes, and a cut name could be another's.
const MaxSchemaLength = 63

var schemaPattern = regexp.MustCompile(`^tenant_[a-z0-9_]+$`)

// Schema is the name of one tenant's PostgreSQL schema. The zero value names
// no tenant and is refused wherever a tenant is needed.
type Schema struct{ name string }

// Parse returns the schema called name. It fails for every name that is not
// "tenant_" followed by lower-case ASCII letters, digits and underscores, at
// most [MaxSchemaLength] bytes in all. The error does not repeat the name.
func Parse(name string) (Schema, error) {
	switch {
	case len(name) > MaxSchemaLength:
		return Schema{}, fmt.Errorf("tenant: a schema name of %d bytes is over the limit of %d", len(name), MaxSchemaLength)
	case !schemaPattern.MatchString(name):
		return Schema{}, fmt.Errorf("tenant: not a tenant's schema name (want tenant_ and then a-z, 0-9, _)")
	}
	return Schema{name: name}, nil
}

// MustParse is [Parse] for names that are constants; it panics where Parse
// fails.
func MustParse(name string) Schema {
	schema, err := Parse(name)
	if err != nil {
		panic(err)
	}
	return schema
}

// String returns the bare name, "" for the zero value.
func (s Schema) String() string { return s.name }

// IsZero reports whether s names no tenant.
func (s Schema) IsZero() bool { return s.name == "" }

type contextKey struct{}

// NewContext returns a context whose statements run in schema. A zero schema
// takes the tenant away again, so that statements fail.
func NewContext(ctx context.Context, schema Schema) context.Context {
	return context.WithValue(ctx, contextKey{}, schema)
}

// FromContext returns the schema that ctx works for; ok is false when there is
// none.
func FromContext(ctx context.Context) (schema Schema, ok bool) {
	schema, _ = ctx.Value(contextKey{}).(Schema)
	return schema, !schema.IsZero()
}
