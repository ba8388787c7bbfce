package apikeys

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/fault"
)

// Key is what people know about an API key.
type Key struct {
	// ID is the part of the token that is no secret.
	ID          string
	Name        string
	Permissions []identity.Permission
	// CreatedBy is the id of the member for whom the key stands.
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
	// LastUsedAt is when the key was last used, to within [usedInterval]; zero for
	// never.
	LastUsedAt time.Time
}

// Expired reports whether the key is of no use any more at now.
func (k Key) Expired(now time.Time) bool { return !now.Before(k.ExpiresAt) }

// How long keys live, in days.
const (
	DefaultLifetime = 90
	MaxLifetime     = 366
)

// MaxNameLength is the longest name of a key, in characters.
const MaxNameLength = 80

// MaxKeys is how many keys a tenant has at most, expired ones included. Some more
// get through when they are made at the same moment.
const MaxKeys = 100

// Draft is a key to be made, as somebody entered it.
type Draft struct {
	Name string
	// Permissions are names of permissions that the actor has themselves.
	Permissions []string
	// Lifetime is in days, up to [MaxLifetime]; 0 is [DefaultLifetime].
	Lifetime int
}

// Grantable returns the permissions that the actor may give to a key.
func Grantable(actor identity.Actor) []identity.Permission {
	return slices.DeleteFunc(identity.Permissions(), func(p identity.Permission) bool { return !actor.Role.Covers(p) })
}

// parse returns the key that the draft describes, or an error of kind
// [fault.Invalid] that names every field to mend.
func (d Draft) parse(actor identity.Actor, now time.Time) (Key, error) {
	key := Key{Name: norm.NFC.String(strings.TrimSpace(d.Name)), CreatedBy: actor.AccountID, CreatedAt: now}
	var fields []fault.Field
	invalid := func(name, message string) { fields = append(fields, fault.Field{Name: name, Message: message}) }
	switch {
	case key.Name == "":
		invalid("name", "A key needs a name.")
	case utf8.RuneCountInString(key.Name) > MaxNameLength:
		invalid("name", "Use at most 80 characters.")
	case !utf8.ValidString(d.Name), strings.ContainsFunc(key.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		invalid("name", "Use one line of text that can be printed.")
	}
	grantable, refused := Grantable(actor), false
	for _, name := range d.Permissions {
		refused = refused || !slices.Contains(grantable, identity.Permission(name))
	}
	for _, permission := range grantable {
		if slices.Contains(d.Permissions, string(permission)) {
			key.Permissions = append(key.Permissions, permission)
		}
	}
	switch {
	case refused:
		invalid("permissions", "Use permissions that you have yourself.")
	case len(key.Permissions) == 0:
		invalid("permissions", "A key needs at least one permission.")
	}
	if d.Lifetime == 0 {
		d.Lifetime = DefaultLifetime
	}
	if d.Lifetime < 1 || d.Lifetime > MaxLifetime {
		invalid("expires_in_days", "Use a number of days from 1 to 366.")
	}
	key.ExpiresAt = now.AddDate(0, 0, min(max(d.Lifetime, 0), MaxLifetime))
	if len(fields) > 0 {
		return Key{}, fault.InvalidFields(fields...)
	}
	return key, nil
}
