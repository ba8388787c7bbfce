package httpserver_test

import (
	"testing"

	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestPageLinks(t *testing.T) {
	t.Parallel()
	path := httpserver.TenantAPIPath("acme", "/things")
	query := map[string]string{"q": "a&b", "status": "", "limit": "20"}
	for next, want := range map[string]string{
		"":    `</api/tenants/acme/things?limit=20&q=a%26b>; rel="first"`,
		"c/d": `</api/tenants/acme/things?limit=20&q=a%26b>; rel="first", </api/tenants/acme/things?after=c%2Fd&limit=20&q=a%26b>; rel="next"`,
	} {
		if got := httpserver.PageLinks(path, query, "after", next); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
