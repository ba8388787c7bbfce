package clerk

import (
	"net/url"
	"slices"
	"strings"
)

// parameter is one of an address's query, which keeps its own spelling: a
// person must come back to the address that they were at, to the letter.
type parameter struct{ raw, name, value string }

// parametersOf takes a query apart as browsers do, which leave what they cannot
// decode as it is. net/url drops such parameters.
func parametersOf(address *url.URL) (parameters []parameter) {
	for raw := range strings.SplitSeq(address.RawQuery, "&") {
		name, value, _ := strings.Cut(raw, "=")
		parameters = append(parameters, parameter{raw: raw, name: unescaped(name), value: unescaped(value)})
	}
	return parameters
}

func unescaped(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}

// valueOf returns the first value of a parameter; ok is false without one.
func valueOf(parameters []parameter, name string) (value string, ok bool) {
	for _, p := range parameters {
		if p.name == name && p.raw != "" {
			return p.value, true
		}
	}
	return "", false
}

// without returns address without some parameters of its query.
func without(address *url.URL, names ...string) string {
	var kept []string
	for _, p := range parametersOf(address) {
		if !slices.Contains(names, p.name) {
			kept = append(kept, p.raw)
		}
	}
	stripped := *address
	stripped.RawQuery = strings.Join(kept, "&")
	return stripped.String()
}
