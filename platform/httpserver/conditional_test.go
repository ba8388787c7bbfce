package httpserver_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/httpserver"
)

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]string{
		`"a"`: {"a"}, ` "a" ,"b"`: {"a", "b"}, httpserver.EntityTag("7-x"): {"7-x"},
		`W/"a"`: {}, `a`: {}, `"`: {}, `"a`: {}, `,`: {}, `"a", x, W/"b"`: {"a"}, `*, "a"`: {"a"},
	} {
		if got := httpserver.IfMatch(header); got == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	for _, header := range []string{"", " ", "*", " * "} {
		if got := httpserver.IfMatch(header); got != nil {
			t.Errorf("%q: %q, want any", header, got)
		}
	}
}

// FuzzIfMatch holds that only a header that says so lets a change be made to any
// version.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"a"`, `"a", "b"`, `W/"a"`, `"`, `"",""`, `"""a"""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		versions := httpserver.IfMatch(header)
		if trimmed := strings.TrimSpace(header); (versions == nil) != (trimmed == "" || trimmed == "*") {
			t.Errorf("%q: %q", header, versions)
		}
		for _, version := range versions {
			if !strings.Contains(header, httpserver.EntityTag(version)) {
				t.Errorf("%q: %q is not in it", header, version)
			}
		}
	})
}
