package clerk_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/fault"
)

const eventTime = 1716883200 // seconds, as in Clerk's examples

func event(eventType, data string) []byte {
	return fmt.Appendf(nil, `{"object":"event","type":%q,"instance_id":"ins_1","timestamp":%d,"data":%s}`, eventType, eventTime, data)
}

const userData = `{
	"object": "user", "id": "user_ada", "first_name": "Ada", "last_name": null, "image_url": "https://img.example.com/a",
	"primary_email_address_id": "idn_2", "primary_phone_number_id": "idn_3",
	"email_addresses": [{"id":"idn_1","email_address":"old@example.com"},{"id":"idn_2","email_address":"ada@example.com","verification":null}],
	"phone_numbers": [{"id":"idn_3","phone_number":"+15550100"}],
	"private_metadata": {"ssn": "078-05-1120"}, "unsafe_metadata": 7, "created_at": 1716883000000, "updated_at": 1716883100500
}`

const organizationData = `{
	"object": "organization", "id": "org_acme", "name": "Acme Corp", "slug": "acme-corp", "image_url": "https://img.example.com/o",
	"created_by": "user_ada", "created_at": 1716883000000, "updated_at": 1716883000000
}`

const membershipData = `{
	"object": "organization_membership", "id": "orgmem_1", "role": "org:member", "organization": ` + organizationData + `,
	"public_user_data": {"user_id": "user_bob", "first_name": "Bob", "last_name": "B", "image_url": "https://img.example.com/b", "identifier": "bob@example.com"},
	"created_at": 1716883000000, "updated_at": 1716883050000
}`

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func TestDecode(t *testing.T) {
	t.Parallel()
	ada := identity.Account{
		ID: "user_ada", FirstName: "Ada", Email: "ada@example.com", Phone: "+15550100", AvatarURL: "https://img.example.com/a",
		CreatedAt: at(1716883000000), UpdatedAt: at(1716883100500),
	}
	acme := identity.Organization{
		ID: "org_acme", Name: "Acme Corp", Slug: "acme-corp", ImageURL: "https://img.example.com/o", CreatedBy: "user_ada",
		CreatedAt: at(1716883000000), UpdatedAt: at(1716883000000),
	}
	anonymous := acme
	anonymous.CreatedBy = ""
	bob := identity.Account{
		ID: "user_bob", FirstName: "Bob", LastName: "B", Email: "bob@example.com", AvatarURL: "https://img.example.com/b", Stub: true,
		UpdatedAt: at(1716883050000),
	}
	membership := identity.Membership{
		ID: "orgmem_1", OrganizationID: "org_acme", AccountID: "user_bob", ProviderRole: "org:member",
		CreatedAt: at(1716883000000), UpdatedAt: at(1716883050000),
	}
	byPhone := bob
	byPhone.Email = ""
	gone := at(eventTime * 1000)
	for name, test := range map[string]struct {
		eventType, data string
		want            identity.Observation
	}{
		"user created": {"user.created", userData, identity.Observation{Accounts: []identity.Account{ada}}},
		"user updated": {"user.updated", userData, identity.Observation{Accounts: []identity.Account{ada}}},
		"user without an address": {"user.created", `{"id":"user_x","primary_email_address_id":null,"email_addresses":[{"id":"idn_1","email_address":"x@example.com"}],"created_at":1,"updated_at":2}`,
			identity.Observation{Accounts: []identity.Account{{ID: "user_x", CreatedAt: at(1), UpdatedAt: at(2)}}}},
		"user with U+0000 in the name": {"user.created", `{"id":"user_x","first_name":"a\u0000b","created_at":1,"updated_at":2}`,
			identity.Observation{Accounts: []identity.Account{{ID: "user_x", FirstName: "ab", CreatedAt: at(1), UpdatedAt: at(2)}}}},
		"user deleted": {"user.deleted", `{"object":"user","id":"user_ada","deleted":true}`,
			identity.Observation{Accounts: []identity.Account{{ID: "user_ada", CreatedAt: gone, UpdatedAt: gone, DeletedAt: gone}}}},
		"organization created": {"organization.created", organizationData, identity.Observation{Organizations: []identity.Organization{acme}}},
		"organization of nobody": {"organization.updated", strings.Replace(organizationData, `"created_by": "user_ada", `, "", 1),
			identity.Observation{Organizations: []identity.Organization{anonymous}}},
		"organization deleted": {"organization.deleted", `{"object":"organization","id":"org_acme","slug":"acme-corp","deleted":true}`,
			identity.Observation{Organizations: []identity.Organization{{ID: "org_acme", CreatedAt: gone, UpdatedAt: gone, DeletedAt: gone}}}},
		"membership created": {"organizationMembership.created", membershipData,
			identity.Observation{Accounts: []identity.Account{bob}, Organizations: []identity.Organization{acme}, Memberships: []identity.Membership{membership}}},
		"member by telephone": {"organizationMembership.updated", strings.Replace(membershipData, "bob@example.com", "+15550101", 1),
			identity.Observation{Accounts: []identity.Account{byPhone}, Organizations: []identity.Organization{acme}, Memberships: []identity.Membership{membership}}},
		"membership deleted": {"organizationMembership.deleted", membershipData,
			identity.Observation{Memberships: []identity.Membership{{
				ID: "orgmem_1", OrganizationID: "org_acme", AccountID: "user_bob", CreatedAt: gone, UpdatedAt: gone, DeletedAt: gone}}}},
		"invitation":   {"organizationInvitation.accepted", `{"id":"orginv_1","organization_id":"org_acme","user_id":"user_bob"}`, identity.Observation{}},
		"session":      {"session.ended", `{"id":"sess_1"}`, identity.Observation{}},
		"unknown type": {"waitlistEntry.invented", `[1,2]`, identity.Observation{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clerk.Decode(test.eventType, event(test.eventType, test.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), "078-05-1120") {
				t.Error("private metadata was kept")
			}
		})
	}
}

// A tombstone must be what merging makes of it, or the same history in another
// order would end differently.
func TestDecodedTombstonesAreTheirOwnMerge(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{"user.deleted", "organization.deleted", "organizationMembership.deleted"} {
		o, err := clerk.Decode(eventType, event(eventType, membershipData))
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range o.Accounts {
			if account != account.Merge(account) || !account.Deleted() {
				t.Errorf("%+v", account)
			}
		}
		for _, organization := range o.Organizations {
			if organization != organization.Merge(organization) || !organization.Deleted() {
				t.Errorf("%+v", organization)
			}
		}
		for _, membership := range o.Memberships {
			if membership != membership.Merge(membership) || !membership.Deleted() {
				t.Errorf("%+v", membership)
			}
		}
	}
}

func TestDecodeEnvelopeTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"1716883200":       at(1716883200000),
		"1716883200123":    at(1716883200123),
		"99999999999":      at(99999999999000),
		"100000000000":     at(100000000000),
		"1.716883200123e9": at(1716883200123),
		"null":             {},
	} {
		got, err := clerk.DecodeEnvelope([]byte(`{"type":"user.deleted","data":{},"timestamp":` + text + `}`))
		if err != nil || !got.OccurredAt.Equal(want) || got.Type != "user.deleted" {
			t.Errorf("%s: %+v, %v, want %s", text, got, err, want)
		}
	}
	// A deletion whose time is missing is still one.
	o, err := clerk.Decode("user.deleted", []byte(`{"type":"user.deleted","data":{"id":"user_ada"}}`))
	if err != nil || !o.Accounts[0].Deleted() {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	replace := func(data, old, text string) string {
		if !strings.Contains(data, old) {
			t.Fatalf("nothing to replace: %s", old)
		}
		return strings.Replace(data, old, text, 1)
	}
	for name, test := range map[string]struct{ eventType, data string }{
		"no data":                       {"user.created", "null"},
		"data no object":                {"user.created", `"secret-value"`},
		"no id":                         {"user.created", replace(userData, `"id": "user_ada", `, "")},
		"id with a path":                {"user.created", replace(userData, "user_ada", "../secret-value")},
		"id a number":                   {"user.created", replace(userData, `"user_ada"`, "7")},
		"id too long":                   {"user.created", replace(userData, "user_ada", strings.Repeat("u", 200))},
		"name a number":                 {"user.created", replace(userData, `"Ada"`, "7")},
		"no updated_at":                 {"user.created", replace(userData, `"updated_at": 1716883100500`, `"updated_at": null`)},
		"updated_at text":               {"user.created", replace(userData, "1716883100500", `"secret-value"`)},
		"updated_at ancient":            {"user.created", replace(userData, "1716883100500", "-1")},
		"updated_at in another era":     {"user.created", replace(userData, "1716883100500", "1e300")},
		"addresses no list":             {"user.created", replace(userData, `"phone_numbers": [`, `"phone_numbers": "secret-value", "x": [`)},
		"deleted without an id":         {"user.deleted", `{"deleted":true}`},
		"organization without times":    {"organization.created", `{"id":"org_acme","name":"Acme"}`},
		"membership without a user":     {"organizationMembership.created", replace(membershipData, `"user_id": "user_bob", `, "")},
		"membership without a role":     {"organizationMembership.created", replace(membershipData, `"role": "org:member", `, "")},
		"membership, organization text": {"organizationMembership.created", `{"id":"orgmem_1","role":"org:member","organization":"secret-value"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clerk.Decode(test.eventType, event(test.eventType, test.data))
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("got %+v, %v", got, err)
			}
			if !got.IsZero() {
				t.Errorf("an error came with %+v", got)
			}
			if err != nil && (strings.Contains(err.Error(), "secret-value") || strings.Contains(err.Error(), "078-05")) {
				t.Errorf("the error repeats the payload: %v", err)
			}
		})
	}
	if _, err := clerk.Decode("user.created", []byte(`{"type":`)); !fault.Is(err, fault.Invalid) {
		t.Errorf("malformed JSON: %v", err)
	}
}

func TestEndedSession(t *testing.T) {
	t.Parallel()
	for eventType, want := range map[string]string{
		"session.ended": "sess_1", "session.removed": "sess_1", "session.revoked": "sess_1",
		"session.created": "", "session.pending": "", "user.deleted": "",
	} {
		if got, err := clerk.EndedSession(eventType, event(eventType, `{"object":"session","id":"sess_1"}`)); got != want || err != nil {
			t.Errorf("%s: %q, %v", eventType, got, err)
		}
	}
	if _, err := clerk.EndedSession("session.ended", event("session.ended", `{"id":"a b"}`)); !fault.Is(err, fault.Invalid) {
		t.Errorf("a malformed id: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, eventType := range []string{
		"user.created", "user.deleted", "organization.updated", "organization.deleted",
		"organizationMembership.created", "organizationMembership.deleted", "session.ended", "other",
	} {
		for _, data := range []string{userData, organizationData, membershipData, "null"} {
			f.Add(eventType, event(eventType, data))
		}
	}
	f.Fuzz(func(t *testing.T, eventType string, payload []byte) {
		o, err := clerk.Decode(eventType, payload)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !o.IsZero() {
				t.Fatalf("%+v, %v", o, err)
			}
			return
		}
		if !json.Valid(payload) {
			t.Fatal("accepted what is no JSON")
		}
		var texts []string
		for _, a := range o.Accounts {
			if a.ID == "" || a.UpdatedAt.IsZero() || a.UpdatedAt.Year() > 9999 {
				t.Fatalf("%+v", a)
			}
			texts = append(texts, a.ID, a.Email, a.FirstName, a.LastName, a.AvatarURL, a.Phone)
		}
		for _, o := range o.Organizations {
			if o.ID == "" || o.UpdatedAt.IsZero() || o.UpdatedAt.Year() > 9999 {
				t.Fatalf("%+v", o)
			}
			texts = append(texts, o.ID, o.Name, o.Slug, o.ImageURL, o.CreatedBy)
		}
		for _, m := range o.Memberships {
			if m.ID == "" || m.UpdatedAt.IsZero() || m.UpdatedAt.Year() > 9999 {
				t.Fatalf("%+v", m)
			}
			texts = append(texts, m.ID, m.OrganizationID, m.AccountID, m.ProviderRole)
		}
		if strings.ContainsRune(strings.Join(texts, ""), 0) {
			t.Fatal("a text that PostgreSQL cannot store")
		}
	})
}
