package tenancy

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/tenonhq/tenon/platform/fault"
)

// The bounds of a slug, in bytes. The upper one is that of a DNS label
// (RFC 1035, section 2.3.4), because a slug can be a subdomain too.
const (
	MinSlugLength = 2
	MaxSlugLength = 63
)

var slugPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$`)

// Slug names a tenant in URLs. The zero value names none.
type Slug struct{ text string }

// reserved are the first path segments that the application uses or might come
// to use, and the host names that mean something to others, Clerk's own among them. A
// test of the whole application holds this list against the routes that exist. A tenant
// that had a word before it was reserved keeps it until its organization changes.
var reserved = strings.Fields(`
	about account accounts admin api app apps assets auth billing blog careers cdn clerk clkmail contact
	dashboard demo dev docs download downloads email events favicon feedback files ftp graphql
	guide healthz help home host id images imap img inbox info internal invitation invitations
	invite jobs join legal livez localhost login logout mail manifest media members metrics mx
	new news ns ns1 ns2 oauth oauth2 onboarding operations operators ops organization
	organizations orgs password ping policy pop pop3 postmaster preview pricing privacy problems
	profile projects public readyz register root sandbox search security select-organization
	service session sessions settings setup shop sidebar sign-in sign-out sign-up signin signout signup
	sitemap smtp ssl sso staging static stats status store support system team tenant tenants
	tenon terms test theme undefined unsubscribe user users version webhook webhooks well-known
	wiki www www1 www2 null true false
`)

// Reserved reports whether text can never be a tenant's slug although it is
// spelled like one.
func Reserved(text string) bool { return slices.Contains(reserved, text) }

// ParseSlug returns the slug that text is, for a tenant to be given. Errors are of kind
// [fault.Invalid] with a field "slug" and do not repeat the text.
func ParseSlug(text string) (Slug, error) {
	if Reserved(text) {
		return Slug{}, invalidSlug("This word is reserved. Choose another one.")
	}
	return ParseGivenSlug(text)
}

// ParseGivenSlug is [ParseSlug] for a slug that some tenant may have: words that were
// reserved only after it was given are slugs too.
func ParseGivenSlug(text string) (Slug, error) {
	switch {
	case len(text) < MinSlugLength || len(text) > MaxSlugLength:
		return Slug{}, invalidSlug("Use 2 to 63 characters.")
	case !slugPattern.MatchString(text), strings.HasPrefix(text, "xn--"):
		return Slug{}, invalidSlug("Use lower-case letters, digits and hyphens, with a letter or digit at both ends.")
	}
	return Slug{text: text}, nil
}

func invalidSlug(message string) error {
	return fault.InvalidFields(fault.Field{Name: "slug", Message: message})
}

// MustParseSlug is [ParseSlug] for constants; it panics where ParseSlug fails.
func MustParseSlug(text string) Slug {
	slug, err := ParseSlug(text)
	if err != nil {
		panic(err)
	}
	return slug
}

// String returns the slug as URLs show it, "" for the zero value.
func (s Slug) String() string { return s.text }

// IsZero reports whether s names no tenant.
func (s Slug) IsZero() bool { return s.text == "" }

// Slugify reduces text, such as an organization's name, to what of it can be in
// a slug: Latin letters without their accents, digits, and hyphens for the
// rest. The result may be empty, too short or reserved.
func Slugify(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(text) {
		r = unicode.ToLower(r)
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // an accent that NFKD split off
		default:
			gap = true
		}
		if b.Len() >= MaxSlugLength {
			break
		}
	}
	text = b.String()
	if len(text) > MaxSlugLength {
		text = text[:MaxSlugLength]
	}
	return strings.Trim(text, "-")
}

// fallbackSlug is the slug of the organization with id while the one it asked
// for is not to be had: what can be kept of the wish, and a suffix that only
// depends on the id, so that it is the same whatever order events arrive in.
// Attempts after the first lengthen the suffix, for the rare case that somebody
// chose exactly that slug.
func fallbackSlug(id, requested string, attempt int) Slug {
	suffix := digest(id)[:4+2*attempt]
	stem := Slugify(requested)
	if stem == "" {
		stem = "org"
	}
	if room := MaxSlugLength - 1 - len(suffix); len(stem) > room {
		stem = strings.TrimRight(stem[:room], "-")
	}
	return Slug{text: stem + "-" + suffix}
}
