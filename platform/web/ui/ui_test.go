package ui_test

import (
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/tenonhq/tenon/platform/web/ui"
)

func render(t *testing.T, component templ.Component) string {
	t.Helper()
	var html strings.Builder
	if err := component.Render(t.Context(), &html); err != nil {
		t.Fatalf("render: %v", err)
	}
	return html.String()
}

func TestIconRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	for _, name := range ui.IconNames() {
		if html := render(t, ui.Icon(name)); !strings.Contains(html, "<svg") || !strings.Contains(html, `aria-hidden="true"`) {
			t.Errorf("icon %q renders %q", name, html)
		}
	}
	if err := ui.Icon("no-such-icon").Render(t.Context(), new(strings.Builder)); err == nil {
		t.Error("an unknown icon renders without an error")
	}
}

func TestInitials(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                     "?",
		"   ":                  "?",
		"---":                  "?",
		"ada":                  "A",
		"Ada Lovelace":         "AL",
		"Ada King Lovelace":    "AL",
		"ángel ñandú":          "ÁÑ",
		"Conan O'Brien":        "CO",
		"3M":                   "3",
		"acme-corp":            "AC",
		"\u202eevil name":      "EN",
		"<script>alert(1)":     "S1",
		"李 小龙":                 "李小",
		"\xff\xfe broken utf8": "BU",
	} {
		if got := ui.Initials(name); got != want {
			t.Errorf("Initials(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestFormAction holds that a form goes where it is meant to, escaped, and to its
// own page without an address.
func TestFormAction(t *testing.T) {
	t.Parallel()
	for action, want := range map[templ.SafeURL]string{
		"/acme/form":         ` action="/acme/form"`,
		`/a?b=1&c="><script`: ` action="/a?b=1&amp;c=&#34;&gt;&lt;script"`,
	} {
		if html := render(t, ui.Form(ui.FormProps{Action: action})); !strings.Contains(html, want) {
			t.Errorf("%q renders %s", action, html)
		}
	}
	if html := render(t, ui.Form(ui.FormProps{})); strings.Contains(html, "action=") {
		t.Errorf("without an address: %s", html)
	}
}
