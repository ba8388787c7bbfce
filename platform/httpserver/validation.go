package httpserver

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/platform/fault"
)

// huma reports what was submitted in three places: in the detail's value, in
// its location (the name of an unknown property) and in messages that end in a
// parser's own error. Only names that the operation documents and messages
// that are built from the schema pass.

// validationFields returns errs as fields that are safe to show.
func validationFields(op *huma.Operation, errs []error) []fault.Field {
	var fields []fault.Field
	for _, err := range errs {
		detail, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			fields = append(fields, fault.Field{Name: "body", Message: invalidMessage})
			continue
		}
		field := fault.Field{Name: knownName(op, detail.Location), Message: knownMessage(detail.Message)}
		if name, ok := requiredProperty(detail.Message); ok {
			field = fault.Field{Name: strings.TrimPrefix(field.Name+"."+name, "body."), Message: requiredMessage}
		}
		fields = append(fields, field)
	}
	return fields
}

const (
	invalidMessage  = "is not valid"
	requiredMessage = "is required"
)

// requiredProperty returns the name of the schema's property that message says
// is missing.
func requiredProperty(message string) (name string, ok bool) {
	name, ok = strings.CutPrefix(message, "expected required property ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, " to be present")
}

// knownMessage returns message as far as it is made of the schema.
func knownMessage(message string) string {
	switch {
	case message == "unexpected property":
		return "has a property that is not known"
	case message == "unknown query parameter":
		return "has a parameter that is not known"
	case strings.HasPrefix(message, "required ") && strings.HasSuffix(message, " parameter is missing"):
		return requiredMessage
	}
	for _, format := range []string{"duration", "string to be RFC 5322 email", "string to be RFC 3986 uri", "string to be RFC 4122 uuid", "string to be regex"} {
		if strings.HasPrefix(message, "expected "+format+": ") {
			return "expected " + format // the parser's error follows, quoting what it read
		}
	}
	switch message {
	case "invalid integer", "invalid float", "invalid boolean":
		return message
	}
	if strings.HasPrefix(message, "expected ") || strings.HasPrefix(message, "invalid date/time for format ") {
		return message
	}
	return invalidMessage
}

// knownName returns as much of location as op documents: "name" for
// "body.name", "body" for "body.made-up", "limit" for "query.limit".
func knownName(op *huma.Operation, location string) string {
	place, rest, _ := strings.Cut(location, ".")
	if place != "body" {
		if op != nil {
			for _, parameter := range op.Parameters {
				if parameter.In == place && parameter.Name == rest {
					return rest
				}
			}
		}
		for _, known := range []string{"path", "query", "header", "cookie"} {
			if place == known {
				return known
			}
		}
		return "request"
	}
	var name strings.Builder
	schema := bodySchema(op)
	for segment := range strings.SplitSeq(rest, ".") {
		property, indexes, _ := strings.Cut(segment, "[")
		if schema == nil || schema.Properties[property] == nil {
			break
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		name.WriteString(property)
		schema = schema.Properties[property]
		if index, ok := strings.CutSuffix(indexes, "]"); ok && schema.Items != nil {
			if i, err := strconv.Atoi(index); err == nil {
				name.WriteString("[" + strconv.Itoa(i) + "]")
			}
			schema = schema.Items
		}
	}
	if name.Len() == 0 {
		return "body"
	}
	return name.String()
}

func bodySchema(op *huma.Operation) *huma.Schema {
	if op == nil || op.RequestBody == nil || op.RequestBody.Content[jsonType] == nil {
		return nil
	}
	return op.RequestBody.Content[jsonType].Schema
}

// logSafe drops the submitted values from errs: the log is no place for
// somebody's data either.
func logSafe(errs []error) []error {
	var safe []error
	for _, err := range errs {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			err = errors.New(detail.Message)
		}
		safe = append(safe, err)
	}
	return safe
}

// decodeJSON is the one way JSON comes in.
func decodeJSON(data []byte, target any) error { return json.Unmarshal(data, target) }
