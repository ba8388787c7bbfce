package ui

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"

	"github.com/tenonhq/tenon/platform/fault"
)

// Kind is the tone of a message.
type Kind string

const (
	Info    Kind = "info"
	Success Kind = "success"
	Warning Kind = "warning"
	Error   Kind = "error"
)

func (k Kind) icon() string {
	switch k {
	case Success:
		return "circle-check"
	case Warning:
		return "triangle-alert"
	case Error:
		return "circle-alert"
	default:
		return "info"
	}
}

// urgent messages interrupt a screen reader, others wait for a pause.
func (k Kind) role() string {
	if k == Error {
		return "alert"
	}
	return "status"
}

// Variant is the look of a button or a badge.
type Variant string

const (
	Primary     Variant = "primary"
	Secondary   Variant = "secondary"
	Outline     Variant = "outline"
	Ghost       Variant = "ghost"
	Link        Variant = "link"
	Destructive Variant = "destructive"
)

// or is how a component sets its default look.
func (v Variant) or(fallback Variant) string {
	if v == "" {
		return string(fallback)
	}
	return string(v)
}

// Size is the size of a button, an avatar or a card.
type Size string

const (
	Small    Size = "sm"
	Default  Size = "default"
	Large    Size = "lg"
	IconOnly Size = "icon"
)

func (s Size) orDefault() string {
	if s == "" {
		return string(Default)
	}
	return string(s)
}

// ButtonProps describe a [Button]. Its children are its label.
type ButtonProps struct {
	Variant Variant // "" is Primary
	Size    Size    // "" is Default
	Type    string  // "" is "submit"
	Name    string
	Value   string
	// Icon precedes the label; see [IconNames].
	Icon     string
	Disabled bool
	// Label names a button whose children are no text, such as an icon.
	Label      string
	Attributes templ.Attributes
}

func (p ButtonProps) kind() string {
	if p.Type == "" {
		return "submit"
	}
	return p.Type
}

// LinkButtonProps describe a [LinkButton]: a link that looks like a button.
type LinkButtonProps struct {
	Href       templ.SafeURL
	Variant    Variant
	Size       Size
	Icon       string
	Label      string
	Attributes templ.Attributes
}

// FieldProps describe a [Field], a [TextArea] or a [Select].
type FieldProps struct {
	// Name is the form value's name, and the id unless ID is set. A page with
	// two forms that share a name sets ID on one of them.
	Name, ID string
	Label    string
	// Type is the input's type; "" is "text".
	Type string
	// Value is what the input shows: what was stored, or what was submitted.
	Value string
	// Hint says what is expected, Error what is wrong; see [FieldError].
	Hint, Error  string
	Placeholder  string
	Autocomplete string
	// MaxLength is in UTF-16 code units, as browsers count; 0 sets no limit.
	MaxLength int
	Required  bool
	Disabled  bool
	// Autofocus focuses the input when the page opens.
	Autofocus bool
	// Prefix stands inside the input before the value, such as "example.com/".
	Prefix string
	// Rows is a [TextArea]'s height; 0 is 4.
	Rows int
	// Options are a [Select]'s choices.
	Options    []Option
	Attributes templ.Attributes
}

// Option is one choice of a [Select]; the one whose Value equals the field's
// is selected.
type Option struct {
	Value, Label string
	Disabled     bool
}

func (p FieldProps) id() string {
	if p.ID != "" {
		return p.ID
	}
	return p.Name
}

func (p FieldProps) kind() string {
	if p.Type == "" {
		return "text"
	}
	return p.Type
}

func (p FieldProps) rows() int {
	if p.Rows == 0 {
		return 4
	}
	return p.Rows
}

// describedBy names the hint and the error for screen readers.
func (p FieldProps) describedBy() string { return describedBy(p.id(), p.Hint, p.Error) }

func describedBy(id, hint, message string) string {
	var ids []string
	if message != "" {
		ids = append(ids, id+"-error")
	}
	if hint != "" {
		ids = append(ids, id+"-hint")
	}
	return strings.Join(ids, " ")
}

// FieldError returns what err says about the field called name, "" when it
// says nothing. err may be nil.
func FieldError(err *fault.Error, name string) string {
	if err == nil {
		return ""
	}
	for _, field := range err.Fields {
		if field.Name == name {
			return field.Message
		}
	}
	return ""
}

// ToggleProps describe a [Checkbox] or a [Switch].
type ToggleProps struct {
	Name, ID string
	// Value is what a checked box submits; "" is "on".
	Value       string
	Label       string
	Hint, Error string
	Checked     bool
	Disabled    bool
	Attributes  templ.Attributes
}

func (p ToggleProps) id() string {
	if p.ID != "" {
		return p.ID
	}
	return p.Name
}

func (p ToggleProps) value() string {
	if p.Value == "" {
		return "on"
	}
	return p.Value
}

// FormProps describe a [Form].
type FormProps struct {
	ID     string
	Action templ.SafeURL
	// Method is "post" unless it is "get". A form that changes something is
	// sent once: its buttons are off until the answer is there.
	Method string
	// Target is the CSS selector that htmx swaps the answer into, such as
	// "#main" for the page; "" sends the form without htmx.
	Target string
	// Swap is htmx's way of swapping; "" is "innerHTML".
	Swap string
	// Error is shown above the fields when the whole form was refused.
	Error *fault.Error
	// Label names the form for screen readers when no heading does.
	Label      string
	Attributes templ.Attributes
}

func (p FormProps) isGet() bool { return strings.EqualFold(p.Method, "get") }

func (p FormProps) attributes() templ.Attributes {
	attributes := templ.Attributes{}
	if p.Action != "" {
		attributes["action"] = string(p.Action) // of other types than string, templ renders none
	}
	get := p.isGet()
	if get {
		attributes["method"] = "get"
	} else {
		attributes["method"] = "post"
		attributes["data-submit-once"] = true
	}
	for name, value := range map[string]string{"id": p.ID, "aria-label": p.Label} {
		if value != "" {
			attributes[name] = value
		}
	}
	if p.Target != "" {
		verb := "hx-post"
		if get {
			verb = "hx-get"
		}
		attributes[verb] = string(p.Action)
		attributes["hx-target"] = p.Target
		if p.Swap != "" {
			attributes["hx-swap"] = p.Swap
		}
	}
	for name, value := range p.Attributes {
		attributes[name] = value
	}
	return attributes
}

// CardProps describe a [Card]. Its children are its content.
type CardProps struct {
	ID, Title, Description string
	// Action stands at the end of the header, Footer below the content.
	Action, Footer templ.Component
	// Flush lets the content, such as a table, touch the card's edges.
	Flush bool
	// Danger outlines what cannot be undone.
	Danger bool
}

// StatProps describe a [Stat]: one figure of a dashboard.
type StatProps struct {
	Label, Value string
	// Hint explains the figure below it.
	Hint string
	Icon string
	// Href makes the card lead somewhere.
	Href templ.SafeURL
}

// TableProps describe a [Table]. Its children are thead and tbody.
type TableProps struct {
	// Label names the table for screen readers.
	Label string
}

// EmptyStateProps describe an [EmptyState]. Its children are what to do now.
type EmptyStateProps struct {
	Icon, Title, Description string
}

// Breadcrumb is one step on the way to a page; the last one has no Href.
type Breadcrumb struct {
	Label string
	Href  templ.SafeURL
}

// PageHeaderProps describe a [PageHeader]. Its children are the page's actions.
type PageHeaderProps struct {
	Title, Description string
	Breadcrumbs        []Breadcrumb
	// Badge stands beside the title.
	Badge templ.Component
}

// ConfirmProps describe a question to answer before something irreversible
// happens: as a [ConfirmDialog] over a page, or as a [Confirm] page of its own
// for those without JavaScript. Children are added to the form.
type ConfirmProps struct {
	// ID names the dialog for its [ConfirmTrigger].
	ID                 string
	Title, Description string
	// Action is where the form is posted to.
	Action templ.SafeURL
	// ConfirmLabel is the button's, such as "Delete project".
	ConfirmLabel string
	// CancelHref is where the page of its own leads back to.
	CancelHref templ.SafeURL
	// Typed is a text, such as a slug, to be typed into a field called
	// "confirmation"; the server checks it. "" asks for none.
	Typed string
	// Error is why the last attempt was refused.
	Error string
	// Variant is the button's look; "" is [Destructive].
	Variant Variant
}

// ToastProps describe a [Toast].
type ToastProps struct {
	Kind Kind
	// Title may be empty.
	Title, Message string
}

// AlertProps describe an [Alert]. Its children are its text.
type AlertProps struct {
	Kind  Kind
	Title string
}

// AvatarProps describe an [Avatar].
type AvatarProps struct {
	Name string
	// ImageURL is the picture, an https URL or a path on this host; for
	// anything else the name's initials stand in.
	ImageURL string
	Size     Size
	// Square is for organizations.
	Square bool
}

func (p AvatarProps) hasPicture() bool {
	return strings.HasPrefix(p.ImageURL, "https://") ||
		strings.HasPrefix(p.ImageURL, "/") && !strings.HasPrefix(p.ImageURL, "//")
}

// PaginationProps describe a [Pagination] by keyset: pages have no numbers.
type PaginationProps struct {
	// Previous and Next are "" where the list ends.
	Previous, Next templ.SafeURL
	// Label names the navigation for screen readers; "" is "Pages".
	Label string
}

func (p PaginationProps) label() string {
	if p.Label == "" {
		return "Pages"
	}
	return p.Label
}

// DropdownMenuProps describe a [DropdownMenu]. Its children are [MenuLink],
// [MenuButton] and [MenuSeparator].
type DropdownMenuProps struct {
	// Label names the trigger when it shows no text.
	Label string
	// Trigger is what the button shows.
	Trigger templ.Component
	// Class styles the trigger; "" makes it an outline button.
	Class string
	// Side is "bottom" or "top", Align "start" or "end": where it opens.
	Side, Align string
}

func (p DropdownMenuProps) class() string {
	if p.Class == "" {
		return "btn"
	}
	return p.Class
}

// Initials returns up to two letters of name: the first of its first and of
// its last word, upper-case; "?" for a name without letters or digits.
func Initials(name string) string {
	var initials []rune
	for _, word := range strings.FieldsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\'' && r != '’'
	}) {
		letter, _ := utf8.DecodeRuneInString(word)
		if !unicode.IsLetter(letter) && !unicode.IsDigit(letter) {
			continue
		}
		letter = unicode.ToUpper(letter)
		if len(initials) < 2 {
			initials = append(initials, letter)
		} else {
			initials[1] = letter
		}
	}
	if len(initials) == 0 {
		return "?"
	}
	return string(initials)
}

// relativeTime says how far t is from now, in the largest unit that fits; from
// a month on it is the date.
func relativeTime(t, now time.Time) string {
	distance, format := now.Sub(t), "%s ago"
	if distance < 0 {
		distance, format = -distance, "in %s"
	}
	var amount int
	var unit string
	switch {
	case distance < 45*time.Second:
		return "just now"
	case distance < time.Hour:
		amount, unit = max(1, int(distance.Minutes())), "minute"
	case distance < 24*time.Hour:
		amount, unit = int(distance.Hours()), "hour"
	case distance < 30*24*time.Hour:
		amount, unit = int(distance.Hours()/24), "day"
	default:
		return t.UTC().Format("2 Jan 2006")
	}
	return strings.Replace(format, "%s", plural(amount, unit), 1)
}

func plural(amount int, unit string) string {
	if amount == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(amount) + " " + unit + "s"
}
