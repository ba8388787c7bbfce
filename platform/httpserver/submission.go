package httpserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tenonhq/tenon/platform/idempotency"
)

const (
	// submissionField is the hidden field of platform/web/ui's forms that names one
	// showing of a form.
	submissionField = "submission"
	// keepSubmissions is how long a form may be sent again.
	keepSubmissions = time.Hour
	// submissionPoll is how often the second sending of a form asks after the first.
	submissionPoll = 50 * time.Millisecond
)

// submitOnce makes a form that is sent twice be done once, whatever the browser runs:
// a double click, a reload, or trying again when the answer was lost. The second
// sending waits for the first and is led to where that one was. Only what led
// somewhere is remembered: a form that was refused, and a page that is the answer
// itself, such as a secret that is shown once, may come again. So may a form that was
// changed after going back to it.
func (rt *Router) submitOnce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := stateFrom(r.Context())
		if state == nil || state.idempotency == nil {
			next.ServeHTTP(w, r)
			return
		}
		request, ok := submissionOf(r, state.caller(r.Context()))
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		running, stop := toItsEnd(r.Context())
		defer stop()
		claim, answer, err := awaitSubmission(r, running, request)
		switch {
		case errors.Is(err, idempotency.ErrReused):
			next.ServeHTTP(w, r)
		case err != nil:
			rt.errors.Write(w, r, err)
		case answer != nil:
			leadAgain(w, r, answer.Header)
		default:
			run := &keyedRun{state: state, request: request, claim: claim, keep: keepSubmissions}
			defer run.end(running)
			r = r.WithContext(running)
			next.ServeHTTP(&submissionWriter{ResponseWriter: w, r: r, run: run, cookies: len(w.Header()["Set-Cookie"])}, r)
		}
	})
}

// submissionOf returns the key of a form's showing, and not ok for anything else. The
// body is there for whoever reads it next, with the error that ended it.
func submissionOf(r *http.Request, caller Caller) (request idempotency.Request, ok bool) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || media != formType {
		return request, false
	}
	body, err := io.ReadAll(r.Body)
	rest := io.Reader(bytes.NewReader(body))
	if err != nil {
		rest = io.MultiReader(rest, failingReader{err})
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{rest, r.Body}
	form, malformed := url.ParseQuery(string(body))
	name := form.Get(submissionField)
	if err != nil || malformed != nil || name == "" || len(name) > maxIdempotencyKey/2 || !isPrintable(name) {
		return request, false
	}
	// A browser and htmx send the same fields in ways of their own.
	return idempotency.Request{
		Tenant: caller.Tenant, Account: caller.sender(), Key: submissionField + ":" + name,
		Fingerprint: sha256.Sum256([]byte(pathWithoutSlug(r) + "?" + r.URL.RawQuery + "\n" + form.Encode())),
	}, true
}

// leadAgain answers a form with where it led, in the way that this sending of it asks
// for.
func leadAgain(w http.ResponseWriter, r *http.Request, led http.Header) {
	w.Header()["Set-Cookie"] = append(w.Header()["Set-Cookie"], led["Set-Cookie"]...)
	w.Header().Set("Cache-Control", "no-store")
	target := cmp.Or(led.Get("Hx-Redirect"), led.Get("Location"))
	if r.Header.Get("HX-Request") == "true" {
		w.Header().Set("Hx-Redirect", target)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// awaitSubmission claims the form for a run with a context, or waits until whoever has
// claimed it is done.
func awaitSubmission(r *http.Request, running context.Context, request idempotency.Request) (idempotency.Claim, *idempotency.Answer, error) {
	state := stateFrom(running)
	ticker := time.NewTicker(submissionPoll)
	defer ticker.Stop()
	for {
		claim, answer, err := state.idempotency.Begin(running, request, state.hold)
		if !errors.Is(err, idempotency.ErrInFlight) {
			return claim, answer, err
		}
		select {
		case <-r.Context().Done():
			return "", nil, err
		case <-ticker.C:
		}
	}
}

// submissionWriter remembers where a form led before anybody is told.
type submissionWriter struct {
	http.ResponseWriter
	r       *http.Request
	run     *keyedRun
	cookies int // that were set before the form was looked at
}

// Unwrap is for [http.ResponseController].
func (s *submissionWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *submissionWriter) Write(p []byte) (int, error) {
	s.remember(http.StatusOK)
	return s.ResponseWriter.Write(p)
}

func (s *submissionWriter) WriteHeader(status int) {
	s.remember(status)
	s.ResponseWriter.WriteHeader(status)
}

func (s *submissionWriter) remember(status int) {
	if s.run.ended {
		return
	}
	header := http.Header{}
	for _, name := range []string{"Location", "Hx-Redirect"} {
		if values := s.Header()[name]; len(values) > 0 {
			header[name] = slices.Clone(values)
		}
	}
	if status/100 < 4 && len(header) > 0 {
		header["Set-Cookie"] = slices.Clone(s.Header()["Set-Cookie"][s.cookies:])
		s.run.answer = &idempotency.Answer{Status: status, Header: header}
	}
	s.run.end(s.r.Context())
}
