package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/platform/fault"
)

// huma reports what was submitted in three places: in the detail's value, in
// its location (the name of an unknown property) and in messages that end in a
// parser's own error. Only names that the operation documents and messages
// that are built from the schema pass.

// maxFields bounds how much a client can make a problem repeat itself.
const maxFields = 50

// validationFields returns errs as fields that are safe to show.
func validationFields(op *huma.Operation, errs []error) []fault.Field {
	var fields []fault.Field
	for _, err := range errs {
		field := fault.Field{Name: "body", Message: invalidMessage}
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			field = validationField(op, detail)
		}
		if len(fields) < maxFields && !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	return fields
}

const (
	invalidMessage  = "is not valid"
	requiredMessage = "is required"
)

func validationField(op *huma.Operation, detail *huma.ErrorDetail) fault.Field {
	name, siblings := knownName(op, detail.Location)
	if property, ok := requiredProperty(detail.Message); ok {
		if name != "body" {
			property = name + "." + property
		}
		return fault.Field{Name: property, Message: requiredMessage}
	}
	switch detail.Message {
	case "unexpected property", "unknown query parameter":
		message := "has a name that is not known"
		if len(siblings) > 0 {
			message += "; known are " + strings.Join(siblings, ", ")
		}
		return fault.Field{Name: name, Message: message}
	}
	return fault.Field{Name: name, Message: knownMessage(detail.Message)}
}

// requiredProperty returns the name of the schema's property that message says
// is missing.
func requiredProperty(message string) (name string, ok bool) {
	name, ok = strings.CutPrefix(message, "expected required property ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, " to be present")
}

// quotingMessages are followed by a parser's error, which quotes its input.
var quotingMessages = []string{
	"expected duration",
	"expected string to be RFC 5322 email",
	"expected string to be RFC 3986 uri",
	"expected string to be RFC 4122 uuid",
	"expected string to be regex",
}

// knownMessage returns message if it is made of the schema alone.
func knownMessage(message string) string {
	for _, known := range quotingMessages {
		if strings.HasPrefix(message, known+":") {
			return known
		}
	}
	switch {
	case strings.HasPrefix(message, "required ") && strings.HasSuffix(message, " parameter is missing"):
		return requiredMessage
	case strings.HasPrefix(message, "expected "),
		strings.HasPrefix(message, "invalid date/time for format "),
		slices.Contains([]string{"invalid integer", "invalid float", "invalid boolean"}, message):
		return message
	}
	return invalidMessage
}

// knownName returns as much of location as op documents ("name" for
// "body.name", "body" for "body.made-up", "limit" for "query.limit") and the
// names that are known at that place.
func knownName(op *huma.Operation, location string) (name string, siblings []string) {
	place, rest, _ := strings.Cut(location, ".")
	if place == "body" {
		return knownProperty(op, rest)
	}
	if op == nil {
		return "request", nil
	}
	for _, parameter := range op.Parameters {
		if parameter.In != place {
			continue
		}
		if parameter.Name == rest {
			return rest, nil
		}
		siblings = append(siblings, parameter.Name)
	}
	if !slices.Contains([]string{"path", "query", "header", "cookie"}, place) {
		place = "request"
	}
	return place, siblings
}

func knownProperty(op *huma.Operation, path string) (name string, siblings []string) {
	schema, registry := bodySchema(op)
	var known strings.Builder
	for segment := range strings.SplitSeq(path, ".") {
		property, indexes, _ := strings.Cut(segment, "[")
		if schema == nil || schema.Properties[property] == nil {
			break
		}
		if known.Len() > 0 {
			known.WriteByte('.')
		}
		known.WriteString(property)
		schema = resolve(registry, schema.Properties[property])
		if index, ok := strings.CutSuffix(indexes, "]"); ok && schema != nil && schema.Items != nil {
			if i, err := strconv.Atoi(index); err == nil {
				known.WriteString("[" + strconv.Itoa(i) + "]")
			}
			schema = resolve(registry, schema.Items)
		}
	}
	if schema != nil {
		for property := range schema.Properties {
			siblings = append(siblings, property)
		}
		slices.Sort(siblings)
	}
	if known.Len() == 0 {
		return "body", siblings
	}
	return known.String(), siblings
}

// registryKey is where Register leaves the schemas in an operation's metadata.
const registryKey = "schemas"

func bodySchema(op *huma.Operation) (*huma.Schema, huma.Registry) {
	if op == nil || op.RequestBody == nil || op.RequestBody.Content[jsonType] == nil {
		return nil, nil
	}
	registry, _ := op.Metadata[registryKey].(huma.Registry)
	return resolve(registry, op.RequestBody.Content[jsonType].Schema), registry
}

func resolve(registry huma.Registry, schema *huma.Schema) *huma.Schema {
	for schema != nil && schema.Ref != "" && registry != nil {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	return schema
}

// logSafe drops the submitted values from errs: the log is no place for
// somebody's data either.
func logSafe(errs []error) []error {
	var safe []error
	for _, err := range errs {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			err = errors.New(knownMessage(detail.Message))
		}
		safe = append(safe, err)
	}
	return safe
}

// maxDepth is far more than any documented body nests.
const maxDepth = 64

// What is wrong with a body, as the client is told. Anything else that
// decodeJSON fails with is a syntax error.
//
//nolint:staticcheck // sentences, because a person reads them
var (
	errNotJSON       = errors.New("The body is not valid JSON.")
	errNotUTF8       = errors.New("The body is not valid UTF-8.")
	errNulInText     = errors.New("The body has a NUL character in a text.")
	errPropertyTwice = errors.New("The body has a property twice.")
	errTooDeep       = errors.New("The body is nested too deeply.")
)

// malformedMessage finds what decodeJSON said in errs.
func malformedMessage(errs []error) string {
	for _, err := range errs {
		detail, ok := errors.AsType[*huma.ErrorDetail](err)
		for _, known := range []error{errNotUTF8, errNulInText, errPropertyTwice, errTooDeep} {
			if ok && detail.Message == known.Error() {
				return detail.Message
			}
		}
	}
	return errNotJSON.Error()
}

// decodeJSON is the one way JSON comes in. huma decodes twice: into an any that
// it validates, then into the struct that the handler gets. What the two could
// disagree about, such as a property given twice, is refused the first time.
func decodeJSON(data []byte, target any) error {
	if _, validated := target.(*any); validated {
		if err := checkJSON(data); err != nil {
			return err
		}
	}
	return json.Unmarshal(data, target)
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	// One entry for each open object or array: the names seen so far, nil for
	// an array.
	var open []map[string]bool
	isName := false
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return errNotJSON
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(open) == maxDepth {
				return errTooDeep
			}
			var names map[string]bool
			if isName = token == json.Delim('{'); isName {
				names = map[string]bool{}
			}
			open = append(open, names)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			text, isText := token.(string)
			if isText && strings.ContainsRune(text, 0) {
				return errNulInText
			}
			if isName {
				names := open[len(open)-1]
				if names[text] {
					return errPropertyTwice
				}
				names[text] = true
				isName = false
				continue
			}
		}
		// A value has ended: inside of an object a name comes next.
		isName = len(open) > 0 && open[len(open)-1] != nil
	}
}
