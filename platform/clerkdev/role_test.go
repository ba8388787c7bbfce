package clerkdev_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationinvitation"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/organizationrole"

	"github.com/tenonhq/tenon/platform/clerkdev"
)

func (i *instance) roles() *organizationrole.Client {
	return organizationrole.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{URL: new(i.backend + "/v1"), Key: new(i.SecretKey())}})
}

// TestRolesOfTheInstance: people get those alone, by whichever way.
func TestRolesOfTheInstance(t *testing.T) {
	t.Parallel()
	i := start(t, clerkdev.Config{})
	ada, bob := i.user(t, "ada@example.com"), i.user(t, "bob@example.com")
	acme := i.organization(t, "acme", ada)
	before := len(i.Events())
	for role, want := range map[string]int{"org:editor": http.StatusNotFound, "editor": http.StatusUnprocessableEntity, "admin": http.StatusUnprocessableEntity, "": http.StatusUnprocessableEntity} {
		_, join := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: &role})
		_, change := i.memberships.Update(t.Context(), &organizationmembership.UpdateParams{OrganizationID: acme.ID, UserID: ada.ID, Role: &role})
		_, invite := i.invitations.Create(t.Context(), &organizationinvitation.CreateParams{OrganizationID: acme.ID, EmailAddress: new("eve@example.com"), Role: &role})
		for _, err := range []error{join, change, invite} {
			if code, _ := status(err); code != want {
				t.Errorf("%q: %d %v", role, code, err)
			}
		}
	}
	if len(i.Events()) != before {
		t.Error("what is refused is told to the application")
	}

	made, err := i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:editor"), Name: new("Editor"), Description: new("Edits."), Permissions: &[]string{"perm_sys_memberships_read"}})
	if err != nil || !strings.HasPrefix(made.ID, "role_") || made.Key != "org:editor" || len(made.Permissions) != 1 || made.Permissions[0].Key != "org:sys_memberships:read" || made.IsCreatorEligible {
		t.Fatalf("%+v, %v", made, err)
	}
	member, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: &made.Key})
	if err != nil || member.Role != "org:editor" {
		t.Errorf("%+v, %v", member, err)
	}
	changed, err := i.roles().Update(t.Context(), made.ID, &organizationrole.UpdateParams{Name: new("Author")})
	if err != nil || changed.ID != made.ID || changed.Name != "Author" || len(changed.Permissions) != 1 {
		t.Errorf("%+v, %v", changed, err)
	}
	if got, err := i.roles().Get(t.Context(), made.ID); err != nil || got.Name != "Author" || *got.Description != "Edits." {
		t.Errorf("%+v, %v", got, err)
	}
	for query, want := range map[string]string{"": "org:admin org:editor org:member org:viewer", "auth": "org:editor", "ORG:V": "org:viewer", "nothing": ""} {
		list, err := i.roles().List(t.Context(), &organizationrole.ListParams{Query: &query, OrderBy: new("key")})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, role := range list.OrganizationRoles {
			keys = append(keys, role.Key)
		}
		if strings.Join(keys, " ") != want {
			t.Errorf("%q lists %v", query, keys)
		}
	}
	if _, err := i.roles().Delete(t.Context(), made.ID); err == nil {
		t.Error("a role is deleted that somebody has")
	}
	if _, err := i.memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: acme.ID, UserID: bob.ID}); err != nil {
		t.Fatal(err)
	}
	if deleted, err := i.roles().Delete(t.Context(), made.ID); err != nil || !deleted.Deleted {
		t.Errorf("%+v, %v", deleted, err)
	}
	if events := i.Events(); events[len(events)-1].Type != "role.deleted" || events[before].Type != "role.created" {
		t.Errorf("%+v", events[before:])
	}

	admin, err := i.roles().List(t.Context(), &organizationrole.ListParams{Query: new("org:admin")})
	if err != nil || len(admin.OrganizationRoles) != 1 || !admin.OrganizationRoles[0].IsCreatorEligible {
		t.Fatalf("%+v, %v", admin, err)
	}
	for what, err := range map[string]error{
		"the creators' role goes":       errOf(i.roles().Delete(t.Context(), admin.OrganizationRoles[0].ID)),
		"a key twice":                   errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:admin"), Name: new("Boss")})),
		"no key":                        errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Name: new("Boss")})),
		"no name":                       errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:boss"), Name: new(" ")})),
		"a long name":                   errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:boss"), Name: new(strings.Repeat("x", 300))})),
		"no such key":                   errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("boss"), Name: new("Boss")})),
		"no such permission":            errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:boss"), Name: new("Boss"), Permissions: &[]string{"perm_none"}})),
		"another key":                   errOf(i.roles().Update(t.Context(), admin.OrganizationRoles[0].ID, &organizationrole.UpdateParams{Key: new("org:boss")})),
		"one that is gone":              errOf(i.roles().Get(t.Context(), made.ID)),
		"one that is gone is changed":   errOf(i.roles().Update(t.Context(), made.ID, &organizationrole.UpdateParams{Name: new("X")})),
		"a parameter that is not known": errOf(i.roles().Create(t.Context(), &organizationrole.CreateParams{Key: new("org:boss"), Name: new("Boss"), IsManaged: new(true)})),
	} {
		if code, _ := status(err); code < 400 || code >= 500 {
			t.Errorf("%s: %d %v", what, code, err)
		}
	}
}

// TestRolesOfAnOlderStateFile: it has none of what roles have got since, and
// people may have a role that it does not know.
func TestRolesOfAnOlderStateFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	i := start(t, clerkdev.Config{StateFile: file})
	acme := i.organization(t, "acme", i.user(t, "ada@example.com"))
	bob := i.user(t, "bob@example.com")
	if _, err := i.memberships.Create(t.Context(), &organizationmembership.CreateParams{OrganizationID: acme.ID, UserID: &bob.ID, Role: new("org:viewer")}); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stored map[string]json.RawMessage
	if err := json.Unmarshal(saved, &stored); err != nil {
		t.Fatal(err)
	}
	stored["roles"] = json.RawMessage(`{"org:admin": {"name": "Admin"}, "org:member": {"name": "Member"}}`)
	if saved, err = json.Marshal(stored); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	again := start(t, clerkdev.Config{StateFile: file})
	list, err := again.roles().List(t.Context(), &organizationrole.ListParams{})
	if err != nil || len(list.OrganizationRoles) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, role := range list.OrganizationRoles {
		if role.ID == "" {
			t.Errorf("%s has no id", role.Key)
		}
	}
	members, err := again.memberships.List(t.Context(), &organizationmembership.ListParams{OrganizationID: acme.ID, Roles: []string{"org:viewer"}})
	if err != nil || len(members.OrganizationMemberships) != 1 {
		t.Errorf("%+v, %v", members, err)
	}
	if _, err := clerkdev.New(clerkdev.Config{PublicURL: "http://localhost:3000", Roles: []clerkdev.Role{{Key: "editor", Name: "Editor"}}}); err == nil || !strings.Contains(err.Error(), "Roles") {
		t.Errorf("a key that is none: %v", err)
	}
}
