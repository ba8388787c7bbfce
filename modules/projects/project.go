package projects

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tenonhq/tenon/platform/fault"
)

// Project is one project of a tenant.
type Project struct {
	ID   int64
	Name string
	// Slug is how URLs name the project; unique in the tenant.
	Slug        Slug
	Description string
	// CreatedBy is the id of the member who made it; it never changes.
	CreatedBy string
	// Public projects are shown to viewers too.
	Public    bool
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Status says whether a project is worked on. The set is closed.
type Status string

// Every status there is.
const (
	StatusActive   Status = "active"
	StatusArchived Status = "archived"
)

// Statuses returns every status.
func Statuses() []Status { return []Status{StatusActive, StatusArchived} }

// The longest texts, in characters (Unicode code points).
const (
	MaxNameLength        = 120
	MaxDescriptionLength = 5000
)

// Draft is a project to be created, as somebody entered it.
type Draft struct {
	Name string
	// Slug is derived from the name when it is empty.
	Slug        string
	Description string
	Public      bool
	// Status is "active" when it is empty.
	Status string
}

// parse returns the project that the draft describes, without a slug when none
// was given, or an error of kind [fault.Invalid] that names every field to
// mend.
func (d Draft) parse() (Project, error) {
	var invalid violations
	project := Project{
		Name:        invalid.check("name", d.Name, parseName),
		Description: invalid.check("description", d.Description, parseDescription),
		Public:      d.Public,
		Status:      StatusActive,
	}
	if d.Status != "" {
		project.Status = invalid.status(d.Status)
	}
	if d.Slug != "" {
		project.Slug = invalid.slug(d.Slug)
	}
	return project, invalid.err()
}

// Change is what somebody wants to be different about a project. What is nil
// stays as it is.
type Change struct {
	Name        *string
	Slug        *string
	Description *string
	Public      *bool
	Status      *string
}

// Edits is a [Change] that was found valid. What is nil stays as it is.
type Edits struct {
	Name        *string
	Slug        *Slug
	Description *string
	Public      *bool
	Status      *Status
}

// IsZero reports whether nothing is to change.
func (e Edits) IsZero() bool { return e == Edits{} }

// Apply returns the project with the edits made, its times left alone.
func (e Edits) Apply(p Project) Project {
	apply(&p.Name, e.Name)
	apply(&p.Slug, e.Slug)
	apply(&p.Description, e.Description)
	apply(&p.Public, e.Public)
	apply(&p.Status, e.Status)
	return p
}

func apply[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (c Change) parse() (Edits, error) {
	var invalid violations
	edits := Edits{Public: c.Public}
	if c.Name != nil {
		edits.Name = new(invalid.check("name", *c.Name, parseName))
	}
	if c.Slug != nil {
		edits.Slug = new(invalid.slug(*c.Slug))
	}
	if c.Description != nil {
		edits.Description = new(invalid.check("description", *c.Description, parseDescription))
	}
	if c.Status != nil {
		edits.Status = new(invalid.status(*c.Status))
	}
	return edits, invalid.err()
}

// violations collects what is wrong with an input, so that all of it is told
// at once.
type violations []fault.Field

func (v *violations) add(field, message string) {
	*v = append(*v, fault.Field{Name: field, Message: message})
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return fault.InvalidFields(v...)
}

func (v *violations) check(field, text string, parse func(string) (value, problem string)) string {
	value, problem := parse(text)
	if problem != "" {
		v.add(field, problem)
	}
	return value
}

func (v *violations) slug(text string) Slug {
	slug, err := ParseSlug(text)
	switch {
	case err != nil:
		*v = append(*v, fault.As(err).Fields...)
	case slug.isReserved():
		v.add("slug", "This word is reserved. Choose another one.")
	}
	return slug
}

func (v *violations) status(text string) Status {
	for _, status := range Statuses() {
		if string(status) == text {
			return status
		}
	}
	v.add("status", "Use active or archived.")
	return ""
}

// parseName trims a name and composes its letters (NFC), so that what looks the
// same is found by the same search. Writing systems of all kinds and emoji are
// welcome; what would not be seen, or would rearrange the text around it, is not.
func parseName(text string) (name, problem string) {
	name = norm.NFC.String(strings.TrimSpace(text))
	switch {
	case !utf8.ValidString(text):
		return "", "Use text that is valid UTF-8."
	case name == "":
		return "", "A project needs a name."
	case utf8.RuneCountInString(name) > MaxNameLength:
		return "", "Use at most 120 characters."
	case strings.ContainsFunc(name, isBreaking), strings.ContainsFunc(name, isLayoutControl):
		return "", "Use one line of text without control characters."
	case !strings.ContainsFunc(name, isVisible):
		return "", "Use at least one character that can be seen."
	}
	return name, ""
}

func parseDescription(text string) (description, problem string) {
	// Browsers send the line breaks of a form as CR LF.
	description = norm.NFC.String(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")))
	isForbidden := func(r rune) bool { return isLayoutControl(r) && r != '\n' && r != '\t' }
	switch {
	case !utf8.ValidString(text):
		return "", "Use text that is valid UTF-8."
	case utf8.RuneCountInString(description) > MaxDescriptionLength:
		return "", "Use at most 5,000 characters."
	case strings.ContainsFunc(description, isForbidden):
		return "", "Use text without control characters."
	}
	return description, ""
}

// isLayoutControl reports control characters, NUL among them, which PostgreSQL
// cannot store, and the explicit directional formatting of the Unicode
// Bidirectional Algorithm (UAX #9, section 2). Implicit marks, which
// right-to-left text needs, are none.
func isLayoutControl(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func isBreaking(r rune) bool { return unicode.In(r, unicode.Zl, unicode.Zp) }

func isVisible(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }
