// Package origin says where a change comes from: who makes it, and by which
// request. platform/database sends it along with every statement that may change
// something, and the database writes it into the tenant's audit log with what was
// changed (migrations/schema/tenant.sql). Nobody who changes something has to
// think of it.
package origin

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
)

// Kind is what somebody is who changes something.
type Kind string

// Every kind but [Database] is said by the program. Without one the database
// writes [Database], and the login's name as the actor.
const (
	// Person is somebody who is signed in; the actor is their account's id.
	Person Kind = "person"
	// Key is a program with an API key; the actor is the account of whoever made it.
	Key Kind = "key"
	// Webhook is the identity provider; the actor is the event's id.
	Webhook Kind = "webhook"
	// Command is the command line; the actor is the user of the system and their host.
	Command Kind = "command"
	// Job is work that nobody asked for just now; the actor is its name.
	Job Kind = "job"
	// Database is anybody who goes past the program, such as with psql.
	Database Kind = "database"
)

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{Person, Key, Webhook, Command, Job, Database} }

// Origin is where a change comes from.
type Origin struct {
	Kind Kind
	// Actor is who of that kind.
	Actor string
	// APIKey is the key's id for [Key].
	APIKey string
	// IP is the client's address; the zero Addr when it is not known, or there is no
	// client.
	IP netip.Addr
	// RequestID is the request's, as the client got it and the log has it.
	RequestID string
}

type contextKey struct{}

// NewContext returns a context whose changes come from o.
func NewContext(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, contextKey{}, o)
}

// FromContext returns where the changes of ctx come from; the zero Origin when
// nobody said so.
func FromContext(ctx context.Context) Origin {
	o, _ := ctx.Value(contextKey{}).(Origin)
	return o
}

// Acting returns a context of the same request in which it became known who acts.
func Acting(ctx context.Context, kind Kind, actor string) context.Context {
	o := FromContext(ctx)
	o.Kind, o.Actor = kind, actor
	return NewContext(ctx, o)
}

// Setting is the parameter of PostgreSQL that carries an origin, for as long as a
// transaction lasts. Programs' own parameters have a dot in their name.
const Setting = "tenon.origin"

// SQL returns the statement that names o to the database, with a semicolon behind
// it; "" for the zero Origin.
func (o Origin) SQL() string {
	if o == (Origin{}) {
		return ""
	}
	// Texts and an address always encode. An apostrophe is written as JSON may write
	// every character; a backslash is an ordinary one in a literal.
	encoded, _ := json.Marshal(struct {
		Kind      Kind   `json:"kind,omitempty"`
		Actor     string `json:"actor,omitempty"`
		APIKey    string `json:"api_key,omitempty"`
		IP        string `json:"ip,omitempty"`
		RequestID string `json:"request_id,omitempty"`
	}{o.Kind, o.Actor, o.APIKey, o.address(), o.RequestID})
	text := strings.ReplaceAll(string(encoded), `'`, `\u0027`)
	// jsonb and text know no NUL, and a failed change is worse than a lost character.
	return "SET LOCAL " + Setting + " TO '" + strings.ReplaceAll(text, `\u0000`, `\ufffd`) + "'; "
}

func (o Origin) address() string {
	if !o.IP.IsValid() {
		return ""
	}
	return o.IP.String()
}
