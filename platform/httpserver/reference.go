package httpserver

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/fault"
)

const referencePath = apiPrefix + "/docs"

// referencePolicy is the reference page's own: its script writes styles into
// the page. It may ask this server alone, so that a token which is tried out
// there goes nowhere else.
const referencePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed reference/scalar.js
var referenceViewer []byte

//go:embed reference/start.js
var referenceStart []byte

// referenceScript is a script of the reference page. Its path has a hash of its
// content, so that browsers may keep it for good.
type referenceScript struct {
	path    string
	body    []byte
	gzipped func() []byte // compressed once, when somebody asks
}

func newReferenceScript(name string, body []byte) referenceScript {
	sum := sha256.Sum256(body)
	return referenceScript{
		path: referencePath + "/" + name + "." + hex.EncodeToString(sum[:6]) + ".js",
		body: body,
		gzipped: sync.OnceValue(func() []byte {
			var compressed bytes.Buffer
			writer := gzip.NewWriter(&compressed)
			_, _ = writer.Write(body) // a buffer takes everything
			_ = writer.Close()
			return compressed.Bytes()
		}),
	}
}

func (s referenceScript) serve(w http.ResponseWriter, r *http.Request) {
	body, header := s.body, w.Header()
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		body = s.gzipped()
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // fails only when the client has gone
}

// acceptsGzip reports whether the client names gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameter, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			quality, found := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			q, err := strconv.ParseFloat(quality, 64)
			return !found || err == nil && q > 0
		}
	}
	return false
}

var referencePage = template.Must(template.New("reference").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · API reference</title>
<link rel="icon" href="data:,">
</head>
<body>
<div id="reference"></div>
<noscript><p>The API reference needs JavaScript. The document itself is at <a href="{{.Document}}">{{.Document}}</a>.</p></noscript>
{{range .Scripts}}<script src="{{.}}"></script>
{{end}}</body>
</html>
`))

// mountReference adds the page that shows the OpenAPI document to whoever asks,
// made of nothing but what this binary has inside.
func mountReference(router chi.Router, title string) {
	viewer, start := newReferenceScript("scalar", referenceViewer), newReferenceScript("start", referenceStart)
	var page bytes.Buffer
	err := referencePage.Execute(&page, map[string]any{
		"Title": title, "Document": openAPIPath, "Scripts": []string{viewer.path, start.path},
	})
	router.Get(referencePath, func(w http.ResponseWriter, r *http.Request) {
		if err != nil {
			errorsFrom(r.Context()).Write(w, r, fault.Wrap("build the API reference", err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", referencePolicy)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(page.Bytes()) // fails only when the client has gone
	})
	router.Get(path.Join(referencePath, "{script}"), func(w http.ResponseWriter, r *http.Request) {
		for _, script := range []referenceScript{viewer, start} {
			if r.URL.Path == script.path {
				script.serve(w, r)
				return
			}
		}
		errorsFrom(r.Context()).Write(w, r, errNoSuchAddress)
	})
}
