package main

import (
	"testing"

	"github.com/tenonhq/tenon/platform/web/browsertest"
)

// TestPictures looks at the demo as the README shows it. `task screenshots` keeps
// the pictures.
func TestPictures(t *testing.T) {
	p := startProduct(t)
	v := p.visitor(t)
	v.open(t, "/acme/dashboard")
	v.at(t, "/__clerk/sign-in")
	v.click(t, `[aria-label="Sign in as `+demo[0].people[0].email+`"]`)
	v.at(t, "/acme/dashboard")
	v.says(t, "Recent projects")
	for _, theme := range []string{"light", "dark"} {
		browsertest.Emulate(t, v.ctx, theme, 1280)
		for _, violation := range browsertest.Violations(t, v.ctx) {
			t.Errorf("%s: %s", theme, violation)
		}
		browsertest.Screenshot(t, v.ctx, "dashboard-"+theme)
	}
	v.complaints.Check(t)
}
