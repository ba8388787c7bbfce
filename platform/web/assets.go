package web

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets/dist
var dist embed.FS

// assetsPrefix is where [Assets] is mounted; the paths it answers include it.
const assetsPrefix = "/assets/"

type asset struct {
	path        string // under which it is served, with its hash
	contentType string
	etag        string
	body        []byte
	gzipped     []byte // nil when compression does not pay
}

// assetIndex holds every asset by its name and by the path it is served at.
var assetIndex = sync.OnceValue(func() map[string]*asset {
	index, err := newAssetIndex(dist)
	if err != nil {
		panic(fmt.Sprintf("web: embedded assets: %v", err)) // the binary itself is broken
	}
	return index
})

func newAssetIndex(fsys fs.FS) (map[string]*asset, error) {
	entries, err := fs.ReadDir(fsys, "assets/dist")
	if err != nil {
		return nil, err
	}
	// Style sheets come last: they name other assets.
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		return cmp.Compare(strings.Count(a.Name(), ".css"), strings.Count(b.Name(), ".css"))
	})
	index := make(map[string]*asset, 2*len(entries))
	for _, entry := range entries {
		name := entry.Name()
		body, err := fs.ReadFile(fsys, "assets/dist/"+name)
		if err != nil {
			return nil, err
		}
		if path.Ext(name) == ".css" {
			body = hashReferences(body, index)
		}
		asset, err := newAsset(name, body)
		if err != nil {
			return nil, err
		}
		index[name], index[asset.path] = asset, asset
	}
	return index, nil
}

// hashReferences makes url(./name) of a style sheet lead to the asset's path.
func hashReferences(css []byte, index map[string]*asset) []byte {
	for name, asset := range index {
		css = bytes.ReplaceAll(css, []byte("url(./"+name+")"), []byte("url("+asset.path+")"))
	}
	return css
}

// assetTypes is written out because mime.TypeByExtension depends on files of
// the machine it runs on.
var assetTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

func newAsset(name string, body []byte) (*asset, error) {
	extension := path.Ext(name)
	contentType, ok := assetTypes[extension]
	if !ok {
		return nil, fmt.Errorf("%s: no content type for %q", name, extension)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:6])
	asset := &asset{
		path:        assetsPrefix + strings.TrimSuffix(name, extension) + "." + hash + extension,
		contentType: contentType,
		etag:        `"` + hash + `"`,
		body:        body,
	}
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(body); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	if compressed.Len() < len(body)*9/10 {
		asset.gzipped = compressed.Bytes()
	}
	return asset, nil
}

// AssetPath returns the path that serves the asset called name, such as
// "app.css", with a hash of its content in it. It panics for an asset that
// does not exist: names are constants.
func AssetPath(name string) string {
	asset, ok := assetIndex()[name]
	if !ok {
		panic(fmt.Sprintf("web.AssetPath: no asset %q", name))
	}
	return asset.path
}

// Assets serves the embedded assets at the paths that [AssetPath] returns, all
// below /assets/. A path names its content, so answers are cached for good;
// any other path, an outdated hash included, is a 404 that is not cached.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asset, ok := assetIndex()[r.URL.Path]
		if !ok || asset.path != r.URL.Path {
			w.Header().Set("Cache-Control", "no-store")
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		asset.serve(w, r)
	})
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	body, etag := a.body, a.etag
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.gzipped != nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			// An entity tag names one representation, the encoding included.
			body, etag = a.gzipped, strings.TrimSuffix(a.etag, `"`)+`-gzip"`
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("ETag", etag)
	if matchesETag(r.Header.Get("If-None-Match"), etag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// A failed write means that the client has gone; nobody is left to tell.
		_, _ = w.Write(body)
	}
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

func matchesETag(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || candidate == etag {
			return true
		}
	}
	return false
}
