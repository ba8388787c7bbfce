package httpserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// EntityTag returns the strong entity tag (RFC 9110) of a version. The version
// names the thing's state, whatever the encoding that the state is sent in, so
// that what one client was told in gzip is what another may change.
func EntityTag(version string) string { return `"` + version + `"` }

// IfMatch returns the versions that an If-Match header lets a change be made
// to: nil, which is any, for "" and "*". Weak tags, and what is no tag, are left
// out, since they match nothing.
func IfMatch(header string) []string {
	header = strings.TrimSpace(header)
	if header == "" || header == "*" {
		return nil
	}
	versions := []string{}
	for tag := range strings.SplitSeq(header, ",") {
		version, opened := strings.CutPrefix(strings.TrimSpace(tag), `"`)
		version, closed := strings.CutSuffix(version, `"`)
		if opened && closed && !strings.Contains(version, `"`) {
			versions = append(versions, version)
		}
	}
	return versions
}

// contentTag returns the weak entity tag of an answer that has no version of its
// own, such as a list: whoever has the same content needs no other. It is weak, and
// so nothing to base a change on, since it says nothing of the order of states.
func contentTag(content []byte) string {
	sum := sha256.Sum256(content)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// tagsContent reports whether the operation's answers get a [contentTag] where the
// handler has told no version: what is read as JSON does, what is streamed does not.
func tagsContent(op *huma.Operation) bool {
	return op.Method == http.MethodGet && op.Responses["200"] != nil && op.Responses["200"].Content[jsonType] != nil
}

// isKnown reports whether an If-None-Match header names the entity tag. It
// compares weakly, as RFC 9110 has it for reading.
func isKnown(ifNoneMatch, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

const returnMinimal = "return=minimal"

// wantsMinimal reports whether the client prefers an answer without a body
// (RFC 7240).
func wantsMinimal(r *http.Request) bool {
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			name, _, _ := strings.Cut(preference, ";")
			name = strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), `"`, "")
			if strings.EqualFold(name, returnMinimal) {
				return true
			}
		}
	}
	return false
}

// answerOnlyWhatIsWanted answers 304 to whoever has a thing's state already,
// leaves out the body for whoever prefers that, and says who may keep the
// answer.
func answerOnlyWhatIsWanted(ctx huma.Context, next func(huma.Context)) {
	c := &wantedContext{humaContext: ctx}
	next(c)
	c.finish()
}

// wantedContext drops the body of answers that nobody wants.
type wantedContext struct {
	humaContext

	drop    bool
	content *bytes.Buffer // of an answer that is told once its tag is known; nil for the others
}

// Unwrap is how humachi finds its own context.
func (c *wantedContext) Unwrap() huma.Context { return c.humaContext }

func (c *wantedContext) SetStatus(status int) {
	_, w := humachi.Unwrap(c)
	if status == http.StatusOK && w.Header().Get("ETag") == "" && tagsContent(c.Operation()) {
		c.content = new(bytes.Buffer)
		return
	}
	c.content = nil
	c.begin(status)
}

// finish sends the answer that waited for its tag, if one did.
func (c *wantedContext) finish() {
	content := c.content
	if content == nil {
		return
	}
	c.content = nil
	_, w := humachi.Unwrap(c)
	w.Header().Set("ETag", contentTag(content.Bytes()))
	c.begin(http.StatusOK)
	_, _ = c.BodyWriter().Write(content.Bytes()) // fails only when the client has gone
}

func (c *wantedContext) begin(status int) {
	r, w := humachi.Unwrap(c)
	header := w.Header()
	tag := header.Get("ETag")
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case isRead && status == http.StatusOK && tag != "" && isKnown(r.Header.Get("If-None-Match"), tag):
		status, c.drop = http.StatusNotModified, true
	case slices.Contains([]int{http.StatusOK, http.StatusCreated}, status) && !isRead && wantsMinimal(r):
		status, c.drop = http.StatusNoContent, true
		header.Set("Preference-Applied", returnMinimal)
	}
	if c.drop {
		header.Del("Content-Type")
	}
	switch {
	case status >= http.StatusBadRequest: // says so itself
	case !isRead:
		header.Set("Cache-Control", "no-store")
	case len(c.Operation().Security) > 0 && tag != "":
		// What one person may see is for their client alone to keep, which asks
		// each time whether it still is so.
		header.Set("Cache-Control", "private, no-cache")
	case len(c.Operation().Security) > 0:
		header.Set("Cache-Control", "private, no-store")
	}
	c.humaContext.SetStatus(status)
}

func (c *wantedContext) BodyWriter() io.Writer {
	switch {
	case c.drop:
		return io.Discard
	case c.content != nil:
		return c.content
	}
	return c.humaContext.BodyWriter()
}
