package identity

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenonhq/tenon/platform/fault"
)

// Invitation asks somebody by email to become a member. The provider keeps it,
// sends it and takes the answer; what comes of it is a membership.
type Invitation struct {
	ID    string
	Email string
	// Role is what the person becomes: any but [RoleOwner].
	Role Role
	// InvitedBy is the account that sent it, "" when the provider does not say.
	InvitedBy string
	CreatedAt time.Time
	// ExpiresAt is when it becomes void by itself, zero for never.
	ExpiresAt time.Time
}

// InvitationRoles returns the roles that somebody can be invited to, from most
// to least. Owners are made of members.
func InvitationRoles() []Role { return []Role{RoleAdmin, RoleMember, RoleViewer} }

// InvitationDraft is an invitation as somebody entered it.
type InvitationDraft struct{ Email, Role string }

// MaxEmailLength is what SMTP has room for, in bytes.
const MaxEmailLength = 254

func (d InvitationDraft) parse() (Invitation, error) {
	var fields []fault.Field
	email, ok := parseEmail(d.Email)
	if !ok {
		fields = append(fields, fault.Field{Name: "email", Message: "Use an email address, such as ada@example.com."})
	}
	role, err := ParseRole(d.Role)
	switch {
	case err != nil:
		fields = append(fields, fault.Field{Name: "role", Message: "Use admin, member or viewer."})
	case role == RoleOwner:
		fields = append(fields, fault.Field{Name: "role", Message: "Nobody can be invited as an owner. Make them one once they are a member."})
	}
	if len(fields) > 0 {
		return Invitation{}, fault.InvalidFields(fields...)
	}
	return Invitation{Email: email, Role: role}, nil
}

// parseEmail returns the bare address that text is. Whether anybody gets mail
// there is for the provider to find out.
func parseEmail(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > MaxEmailLength || !utf8.ValidString(text) ||
		strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", false
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text {
		return "", false
	}
	return text, true
}
