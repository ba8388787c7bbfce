package clerkdev

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// anyOf returns one of a collection at random, the zero value of an empty one.
func anyOf[V any](random *rand.Rand, from map[string]V) (value V) {
	if len(from) == 0 {
		return value
	}
	keys := slices.Sorted(maps.Keys(from))
	return from[keys[random.IntN(len(keys))]]
}

// changes are everything that can happen to an instance, each to things chosen
// at random, whether that makes sense or not.
var changes = []func(t *tx, random *rand.Rand) error{
	func(t *tx, random *rand.Rand) error {
		_, err := t.createUser(newUser{emails: []string{fmt.Sprintf("%d@example.com", random.IntN(12))}, username: new(fmt.Sprintf("u%d", random.IntN(12)))})
		return err
	},
	func(t *tx, random *rand.Rand) error {
		if u := anyOf(random, t.Users); u != nil && random.IntN(3) == 0 {
			return t.deleteUser(u)
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if u := anyOf(random, t.Users); u != nil {
			changed := *u
			changed.FirstName, changed.Banned = new(fmt.Sprint(random.IntN(9))), random.IntN(5) == 0
			return t.replaceUser(changed)
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		by := ""
		if u := anyOf(random, t.Users); u != nil {
			by = u.ID
		}
		_, err := t.createOrganization(newOrganization{name: fmt.Sprint("Org ", random.IntN(6)), slug: []string{"", "a", "b", "No"}[random.IntN(4)], createdBy: by})
		return err
	},
	func(t *tx, random *rand.Rand) error {
		if o := anyOf(random, t.Organizations); o != nil {
			if random.IntN(4) == 0 {
				return t.deleteOrganization(o)
			}
			changed := *o
			changed.MaxAllowedMemberships = int64(random.IntN(4))
			return t.replaceOrganization(changed)
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if o, u := anyOf(random, t.Organizations), anyOf(random, t.Users); o != nil && u != nil {
			_, err := t.createMembership(o, u, []string{"org:admin", "org:member", "editor", ""}[random.IntN(4)])
			return err
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if m := anyOf(random, t.Memberships); m != nil {
			if random.IntN(2) == 0 {
				return t.deleteMembership(m)
			}
			changed := *m
			changed.Role = "org:viewer"
			return t.replaceMembership(changed)
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if o := anyOf(random, t.Organizations); o != nil {
			_, err := t.createInvitation(o, newInvitation{email: fmt.Sprintf("%d@example.com", random.IntN(14)), role: "org:member"})
			return err
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if i, u := anyOf(random, t.Invitations), anyOf(random, t.Users); i != nil {
			if u == nil || random.IntN(3) == 0 {
				_, err := t.revokeInvitation(i)
				return err
			}
			return t.acceptInvitation(i, u)
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if u := anyOf(random, t.Users); u != nil {
			organizationID := ""
			if m := anyOf(random, t.Memberships); m != nil {
				organizationID = m.OrganizationID
			}
			_, err := t.createSession(u, "", organizationID)
			return err
		}
		return nil
	},
	func(t *tx, random *rand.Rand) error {
		if v := anyOf(random, t.Sessions); v != nil {
			return t.endSession(v, []string{"ended", "removed", "revoked"}[random.IntN(3)])
		}
		return nil
	},
}

// model is what a listener makes of the events alone.
type model struct {
	users, organizations map[string]int64 // id to updated_at
	members              map[string]string
}

func (m *model) apply(t *testing.T, event *Event) {
	t.Helper()
	var body struct {
		Timestamp int64
		Data      struct {
			ID           string
			Role         string
			UpdatedAt    int64 `json:"updated_at"`
			Organization struct{ ID string }
			UserData     struct {
				UserID string `json:"user_id"`
			} `json:"public_user_data"`
		}
	}
	if err := json.Unmarshal(event.Payload, &body); err != nil || body.Timestamp == 0 {
		t.Fatalf("%s: %v", event.Payload, err)
	}
	family, what, _ := strings.Cut(event.Type, ".")
	known := map[string]map[string]int64{"user": m.users, "organization": m.organizations}[family]
	switch {
	case family == "organizationMembership":
		if m.users[body.Data.UserData.UserID] == 0 || m.organizations[body.Data.Organization.ID] == 0 {
			t.Fatalf("%s of somebody or something unknown: %s", event.Type, event.Payload)
		}
		if delete(m.members, body.Data.ID); what != "deleted" {
			m.members[body.Data.ID] = body.Data.Role
		}
	case known == nil:
	case what == "deleted":
		delete(known, body.Data.ID)
	case body.Data.UpdatedAt <= known[body.Data.ID]:
		t.Fatalf("%s does not move updated_at: %s", event.Type, event.Payload)
	default:
		known[body.Data.ID] = body.Data.UpdatedAt
	}
}

// withoutEvents is the state but for its events, which only grow.
func withoutEvents(t *testing.T, s *state) []byte {
	t.Helper()
	things := *s
	things.Events = nil
	encoded, err := things.encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestHistories makes random changes and holds, after each, that the state is
// whole, that a refused change left nothing behind, and that the events alone
// lead to the same state.
func TestHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			e, err := New(Config{PublicURL: "http://localhost:3000"})
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(seed, 0))
			heard := model{map[string]int64{}, map[string]int64{}, map[string]string{}}
			done := 0
			for step := range 300 {
				before, events := withoutEvents(t, e.state), len(e.state.Events)
				err := e.update(sender{}, func(t *tx) error { return changes[random.IntN(len(changes))](t, random) })
				if err == nil {
					done++
				} else if _, refused := errors.AsType[*apiError](err); !refused || len(e.state.Events) != events || !bytes.Equal(before, withoutEvents(t, e.state)) {
					t.Fatalf("step %d: %v, and it changed the state", step, err)
				}
				if err := e.state.check(); err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				for _, v := range e.state.Sessions {
					if v.OrganizationID != "" && e.state.membership(v.OrganizationID, v.UserID) == nil {
						t.Fatalf("step %d: a session is active where its user is no member", step)
					}
				}
				for _, event := range e.state.Events[events:] {
					heard.apply(t, event)
				}
			}
			members := map[string]string{}
			for id, m := range e.state.Memberships {
				members[id] = m.Role
			}
			if !maps.Equal(members, heard.members) || len(heard.users) != len(e.state.Users) || len(heard.organizations) != len(e.state.Organizations) {
				t.Errorf("the events lead to %v, not to %v", heard.members, members)
			}
			if done < 75 {
				t.Errorf("only %d changes were made", done)
			}
			encoded, err := e.state.encode()
			if err != nil {
				t.Fatal(err)
			}
			read, err := parseState(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := read.encode(); err != nil || !bytes.Equal(again, encoded) {
				t.Errorf("the state is another after a restart: %v", err)
			}
		})
	}
}

// TestUnsavedChange holds that a change that cannot be saved did not happen, and
// that it can be made once there is room again.
func TestUnsavedChange(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{PublicURL: "http://localhost:3000", StateFile: filepath.Join(dir, "clerk.json")})
	if err != nil {
		t.Fatal(err)
	}
	create := func(email string) error {
		return e.update(sender{}, func(t *tx) error {
			_, err := t.createUser(newUser{emails: []string{email}})
			return err
		})
	}
	if err := create("ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := create("bob@example.com"); err == nil {
		t.Error("what cannot be saved is accepted")
	}
	if len(e.state.Users) != 1 || len(e.Events()) != 1 {
		t.Errorf("%d users and %d events are left", len(e.state.Users), len(e.Events()))
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if err := create("bob@example.com"); err != nil {
		t.Error(err)
	}
}

// FuzzState holds that whatever is in a state file either is refused or can be
// worked with and saved again.
func FuzzState(f *testing.F) {
	e, err := New(Config{PublicURL: "http://localhost:3000"})
	if err != nil {
		f.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		// Some are refused, which is as well.
		_ = e.update(sender{}, func(t *tx) error { return changes[random.IntN(len(changes))](t, random) })
	}
	if n := len(e.state.Events); n > 1 {
		e.state.Events = e.state.Events[:1] // the fuzzer is faster with little
	}
	whole, err := e.state.encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(whole), string(whole[:len(whole)/2]), `{}`, `{"format":1}`, `null`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			return
		}
		for _, u := range s.Users {
			s.userResource(u)
			s.membershipsOf(u.ID)
		}
		for _, o := range s.Organizations {
			s.organizationResource(o)
		}
		for _, m := range s.Memberships {
			s.membershipResource(m)
		}
		for _, i := range s.Invitations {
			s.invitationResource(i, e.publicURL)
		}
		for _, v := range s.Sessions {
			s.sessionResource(v)
		}
		encoded, err := s.encode()
		if err != nil {
			t.Fatalf("a state that was read cannot be saved: %v", err)
		}
		if _, err := parseState(encoded); err != nil {
			t.Fatalf("a state that was saved cannot be read: %v", err)
		}
	})
}

// BenchmarkSeed is what tenon dev does first: two organizations and eight people
// with passwords, each change saved.
func BenchmarkSeed(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		e, err := New(Config{PublicURL: "http://localhost:3000", StateFile: filepath.Join(b.TempDir(), "clerk.json")})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		var people []*user
		for n := range 8 {
			err = errors.Join(err, e.update(sender{}, func(t *tx) error {
				u, err := t.createUser(newUser{emails: []string{fmt.Sprintf("%d@example.com", n)}, password: new("long enough")})
				people = append(people, u)
				return err
			}))
		}
		for n := range 2 {
			var o *organization
			err = errors.Join(err, e.update(sender{}, func(t *tx) (err error) {
				o, err = t.createOrganization(newOrganization{name: fmt.Sprint("Organization ", n), createdBy: people[n].ID})
				return err
			}))
			for _, u := range people[2:] {
				err = errors.Join(err, e.update(sender{}, func(t *tx) error {
					_, err := t.createMembership(o, u, "org:member")
					return err
				}))
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
