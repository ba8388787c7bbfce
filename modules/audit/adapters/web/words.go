package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tenonhq/tenon/modules/audit"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/origin"
)

func formatSeq(seq int64) string { return strconv.FormatInt(seq, 10) }

// actorName is who did it, as a person reads it.
func actorName(e audit.Entry, people map[string]identity.Member) string {
	switch e.Origin.Kind {
	case origin.Person, origin.Key:
		return personName(e.Origin.Actor, people)
	case origin.Webhook:
		return "Identity provider"
	case origin.Command, origin.Database:
		return "Operators"
	case origin.Job:
		return "Automatic"
	}
	return e.Origin.Actor
}

// actorNote says what the name leaves out.
func actorNote(e audit.Entry) string {
	switch e.Origin.Kind {
	case origin.Key:
		return "by API key " + e.Origin.APIKey
	case origin.Command:
		return "on the command line"
	case origin.Database:
		return "in the database"
	case origin.Job:
		return e.Origin.Actor
	}
	return ""
}

func personName(id string, people map[string]identity.Member) string {
	if person, ok := people[id]; ok {
		return person.Name()
	}
	return id
}

// subjectName is what was changed, as a person reads it.
func subjectName(e audit.Entry, fields map[string]audit.Change, people map[string]identity.Member) string {
	switch subjectOf(e) {
	case "member":
		return personName(e.Subject, people)
	case "invitation":
		if email := fields["email"].After; email != nil {
			return "to " + valueText(email)
		}
	}
	return cmp.Or(e.Label, e.Subject)
}

// nouns are the subjects of actions as people call them.
var nouns = map[string]string{
	"organization": "organization", "member": "member", "invitation": "invitation", "project": "project", "api_key": "API key",
}

// phrase says what was done, with the thing's name behind it.
func phrase(e audit.Entry, fields map[string]audit.Change) string {
	subject, verb, _ := strings.Cut(e.Action, ".")
	turned := func(name, value string) bool { return string(fields[name].After) == value }
	switch e.Action {
	case "member.created":
		return "Added member"
	case "member.updated":
		switch {
		case turned("is_active", "false"):
			return "Removed member"
		case turned("is_active", "true"):
			return "Added member again"
		case fields["role"].After != nil:
			return "Changed the role of"
		}
		return "Changed the profile of"
	case "project.updated":
		switch {
		case turned("status", `"archived"`):
			return "Archived project"
		case turned("status", `"active"`):
			return "Restored project"
		}
	case "api_key.deleted":
		return "Revoked API key"
	case "invitation.created":
		return "Sent invitation"
	case "organization.updated":
		switch {
		case fields["deleted_at"].After != nil:
			return "Deleted organization"
		case turned("is_active", "false"):
			return "Suspended organization"
		case turned("is_active", "true"):
			return "Resumed organization"
		}
	}
	noun := cmp.Or(nouns[subject], subject)
	switch verb {
	case "created":
		return "Created " + noun
	case "updated":
		return "Changed " + noun
	case "deleted":
		return "Deleted " + noun
	case "revoked":
		return "Revoked " + noun
	}
	return e.Action
}

// fieldName is a column as people read it.
func fieldName(name string) string {
	switch name {
	case "is_active":
		return "Active"
	case "is_public":
		return "Public"
	case "projects_public":
		return "New projects are public"
	case "image_url":
		return "Picture"
	}
	text := strings.ReplaceAll(name, "_", " ")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// valueText is a value as people read it: text as it is, the rest as JSON.
func valueText(raw json.RawMessage) string {
	var text *string // nil for null, which is no text
	if json.Unmarshal(raw, &text) == nil && text != nil {
		return cmp.Or(*text, "(empty)")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	switch compact.String() {
	case "true":
		return "Yes"
	case "false":
		return "No"
	case "null":
		return "(none)"
	}
	return compact.String()
}

// choices are the filter's kinds of things.
func choices() (all [][2]string) {
	names := map[string]string{"organization": "Organization", "member": "Members", "invitation": "Invitations", "project": "Projects", "api_key": "API keys"}
	for _, subject := range audit.Subjects() {
		all = append(all, [2]string{subject, names[subject]})
	}
	return all
}
