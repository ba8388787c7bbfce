package ui

import (
	"maps"
	"strconv"

	"github.com/a-h/templ"
)

// controlAttributes are those that inputs, text areas and selects share.
func (p FieldProps) controlAttributes() templ.Attributes {
	attributes := templ.Attributes{
		"id":        p.id(),
		"name":      p.Name,
		"required":  p.Required,
		"disabled":  p.Disabled,
		"autofocus": p.Autofocus,
	}
	described := p.describedBy()
	if p.Prefix != "" {
		described = joinIDs(p.id()+"-prefix", described)
	}
	for name, value := range map[string]string{
		"placeholder": p.Placeholder, "autocomplete": p.Autocomplete, "aria-describedby": described,
	} {
		if value != "" {
			attributes[name] = value
		}
	}
	if p.MaxLength > 0 {
		attributes["maxlength"] = strconv.Itoa(p.MaxLength)
	}
	if p.Error != "" {
		attributes["aria-invalid"] = "true"
	}
	maps.Copy(attributes, p.Attributes)
	return attributes
}

func joinIDs(first, rest string) string {
	if rest == "" {
		return first
	}
	return first + " " + rest
}

// textAreaValue is the value as it has to stand in the markup: HTML drops a
// line break right after the opening tag, so a leading one is doubled.
func (p FieldProps) textAreaValue() string {
	if len(p.Value) > 0 && (p.Value[0] == '\n' || p.Value[0] == '\r') {
		return "\n" + p.Value
	}
	return p.Value
}
