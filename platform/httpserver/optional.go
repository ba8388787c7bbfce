package httpserver

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Optional is a property of a JSON merge patch (RFC 7396). Value is nil when the
// property was missing, and the zero value when it was null: empty text where that
// is allowed, a reason to refuse the patch where it is not.
type Optional[T any] struct{ Value *T }

// UnmarshalJSON implements [json.Unmarshaler].
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.Value = new(T)
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	return json.Unmarshal(data, o.Value)
}

// Schema implements [huma.SchemaProvider]: the document shows T.
func (Optional[T]) Schema(registry huma.Registry) *huma.Schema {
	return huma.SchemaFromType(registry, reflect.TypeFor[T]())
}
