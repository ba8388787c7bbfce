package projects

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tenonhq/tenon/modules/tenancy"
	"github.com/tenonhq/tenon/platform/fault"
)

// MaxSlugLength is the longest slug, in bytes.
const MaxSlugLength = 63

var slugPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$`)

// reservedSlugs are the path segments that pages and operations use, or may
// come to use, where a project's slug stands: /{tenant}/projects/new. Nobody can
// choose one; a project that had it before the word was reserved keeps it.
var reservedSlugs = []string{"archive", "bulk", "export", "import", "new", "search"}

// Slug names a project in URLs. The zero value names none.
type Slug struct{ text string }

// ParseSlug returns the slug that text is: 1 to 63 lower-case letters, digits
// and hyphens, with a letter or digit at both ends.
// Errors are of kind [fault.Invalid] with a field "slug" and do not repeat the
// text.
func ParseSlug(text string) (Slug, error) {
	switch {
	case text == "" || len(text) > MaxSlugLength:
		return Slug{}, invalidSlug("Use 1 to 63 characters.")
	case !slugPattern.MatchString(text):
		return Slug{}, invalidSlug("Use lower-case letters, digits and hyphens, with a letter or digit at both ends.")
	}
	return Slug{text: text}, nil
}

func (s Slug) isReserved() bool { return slices.Contains(reservedSlugs, s.text) }

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

// IsZero reports whether s names no project.
func (s Slug) IsZero() bool { return s.text == "" }

// maxSuffix is the room that numbered keeps: a hyphen and six digits.
const maxSuffix = 7

// deriveSlug returns the slug that a name suggests. It is short enough for
// Slug.numbered.
func deriveSlug(name string) Slug {
	text := tenancy.Slugify(name)
	if len(text) > MaxSlugLength-maxSuffix {
		text = strings.TrimRight(text[:MaxSlugLength-maxSuffix], "-")
	}
	if text == "" { // a name without a Latin letter or digit
		return Slug{text: "project"}
	}
	slug := Slug{text: text}
	if slug.isReserved() {
		slug.text += "-project"
	}
	return slug
}

// numbered returns the n-th project's slug among those whose names suggest s:
// s itself, s-2, s-3 and so on.
func (s Slug) numbered(n int) Slug {
	if n < 2 {
		return s
	}
	return Slug{text: s.text + "-" + strconv.Itoa(n)}
}
