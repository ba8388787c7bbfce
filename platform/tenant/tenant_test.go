package tenant_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/tenant"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ok   bool
	}{
		{"tenant_acme_abcd2345", true},
		{"tenant_1", true},
		{"tenant_" + strings.Repeat("a", 56), true},
		{"tenant_" + strings.Repeat("a", 57), false},
		{"", false},
		{"tenant_", false},
		{"public", false},
		{"pg_catalog", false},
		{"information_schema", false},
		{"acme", false},
		{"Tenant_acme", false},
		{"tenant_Acme", false},
		{"tenant_acme-b", false},
		{"tenant_acmé", false},
		{"tenant_acme\n", false},
		{"tenant_acme\x00", false},
		{`tenant_a"; DROP SCHEMA public CASCADE; --`, false},
		{"tenant_a, public", false},
		{" tenant_a", false},
	}
	for _, test := range tests {
		schema, err := tenant.Parse(test.name)
		if (err == nil) != test.ok {
			t.Errorf("Parse(%q): error %v, want ok=%v", test.name, err, test.ok)
		}
		if err != nil && (!schema.IsZero() || len(test.name) > 8 && strings.Contains(err.Error(), test.name)) {
			t.Errorf("Parse(%q): schema %q, error %q; want none, and a text without the input", test.name, schema, err)
		}
		if err == nil && schema.String() != test.name {
			t.Errorf("Parse(%q).String() = %q", test.name, schema)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("tenant_acme")
	f.Add(`tenant_a"b`)
	f.Fuzz(func(t *testing.T, name string) {
		schema, err := tenant.Parse(name)
		if err != nil {
			return
		}
		if strings.ContainsAny(schema.String(), "\"'\\;,. \t\n\x00") || len(schema.String()) > tenant.MaxSchemaLength {
			t.Errorf("Parse accepted %q", name)
		}
	})
}

func TestContext(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if _, ok := tenant.FromContext(ctx); ok {
		t.Error("a bare context must carry no tenant")
	}
	acme := tenant.MustParse("tenant_acme")
	ctx = tenant.NewContext(ctx, acme)
	if got, ok := tenant.FromContext(ctx); !ok || got != acme {
		t.Errorf("FromContext = %q, %v", got, ok)
	}
	if _, ok := tenant.FromContext(tenant.NewContext(ctx, tenant.Schema{})); ok {
		t.Error("a zero schema must take the tenant away")
	}
}
