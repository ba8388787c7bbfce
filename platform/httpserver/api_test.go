package httpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/httpserver"
)

type thing struct {
	Name  string    `json:"name" minLength:"1" maxLength:"10"`
	Mail  string    `json:"mail,omitempty" format:"email"`
	Site  string    `json:"site,omitempty" format:"uri"`
	Key   string    `json:"key,omitempty" format:"uuid"`
	Code  string    `json:"code,omitempty" pattern:"^[a-z]$"`
	Kind  string    `json:"kind,omitempty" enum:"a,b"`
	Count int       `json:"count,omitempty" minimum:"1" maximum:"9"`
	At    time.Time `json:"at,omitempty"`
	Tags  []string  `json:"tags,omitempty" maxItems:"2"`
	Parts []struct {
		Size int `json:"size" minimum:"1"`
	} `json:"parts,omitempty"`
}

type thingInput struct {
	Limit int       `query:"limit" minimum:"1" maximum:"9" default:"5"`
	Since time.Time `query:"since"`
	Body  thing
}

type thingOutput struct{ Body thing }

func things(api huma.API) {
	httpserver.Register(api, huma.Operation{OperationID: "make-thing", Method: http.MethodPost, Path: "/things"},
		func(_ context.Context, in *thingInput) (*thingOutput, error) { return &thingOutput{Body: in.Body}, nil })
	httpserver.Register(api, huma.Operation{OperationID: "change-thing", Method: http.MethodPatch, Path: "/things/{id}"},
		func(_ context.Context, in *struct {
			ID   int `path:"id"`
			Body thing
		},
		) (*thingOutput, error) {
			return &thingOutput{Body: in.Body}, nil
		})
	httpserver.Register(api, huma.Operation{OperationID: "get-thing", Method: http.MethodGet, Path: "/things/{id}"},
		func(_ context.Context, in *struct {
			ID string `path:"id"`
		},
		) (*thingOutput, error) {
			switch in.ID {
			case "fault":
				return nil, fault.New(fault.Conflict, "It is taken.").WithField("name", "is taken").WithCause(errors.New("sql: " + secret))
			case "error":
				return nil, errors.New("pq: relation " + secret)
			case "panic":
				panic("lost " + secret)
			}
			return &thingOutput{Body: thing{Name: in.ID}}, nil
		})
	httpserver.Register(api, huma.Operation{
		OperationID: "guarded", Method: http.MethodPost, Path: "/guarded",
		Middlewares: huma.Middlewares{httpserver.Guard(func(context.Context) error { return fault.New(fault.Forbidden, "Not you.") })},
	}, func(_ context.Context, in *thingInput) (*thingOutput, error) { return &thingOutput{Body: in.Body}, nil })
}

func newThings(t testing.TB) edge {
	return newEdge(t, nil, httpserver.Mount{Operations: things})
}

func (e edge) post(path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return e.send(r)
}

// TestValidationRepeatsNothing submits the secret in every place that huma would
// repeat it from: values, names, and what a parser says about them.
func TestValidationRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status      int
		query, body string
		fields      string
	}{
		{200, "", `{"name":"x"}`, ""},
		{200, "?limit=9", `{"name":"x","parts":[{"size":1}],"at":"2026-01-02T03:04:05Z"}`, ""},
		{422, "", `{}`, "name"},
		{422, "", `{"name":null}`, "name"},
		{422, "", `{"name":["hunter2"]}`, "name"},
		{422, "", `{"name":"hunter2hunter2"}`, "name"},
		{422, "", `{"name":"x","mail":"hunter2"}`, "mail"},
		{422, "", `{"name":"x","site":":hunter2"}`, "site"},
		{422, "", `{"name":"x","key":"hunter2"}`, "key"},
		{422, "", `{"name":"x","code":"hunter2"}`, "code"},
		{422, "", `{"name":"x","kind":"hunter2"}`, "kind"},
		{422, "", `{"name":"x","count":"hunter2"}`, "count"},
		{422, "", `{"name":"x","count":10}`, "count"},
		{422, "", `{"name":"x","at":"hunter2"}`, "at"},
		{422, "", `{"name":"x","tags":["hunter2","hunter2","hunter2"]}`, "tags"},
		{422, "", `{"name":"x","tags":{"hunter2":1}}`, "tags"},
		{422, "", `{"name":"x","tags":[{"hunter2":1}]}`, "tags[0]"},
		{422, "", `{"name":"x","parts":[{"size":1},{"size":0}]}`, "parts[1].size"},
		{422, "", `{"name":"x","parts":[{"size":1},{"hunter2":0}]}`, "parts[1].size parts[1]"},
		{422, "", `{"name":"x","hunter2":1}`, "body"},
		{422, "", `{"name":"x","NAME":"hunter2"}`, "body"},
		{422, "", `"hunter2"`, "body"},
		{422, "", `["hunter2"]`, "body"},
		{422, "?limit=hunter2", `{"name":"x"}`, "limit"},
		{422, "?limit=0", `{"name":"x"}`, "limit"},
		{422, "?since=hunter2", `{"name":"x"}`, "since"},
		{422, "?hunter2=1", `{"name":"x"}`, "query"},
		{422, "?limit=0", `{"name":""}`, "limit name"},
		{400, "", ``, ""},
		{400, "", `{"name":"hunter2"`, ""},
		{400, "", `{"name":"hunter2"} x`, ""},
		{400, "", `{"name":"x"}{"name":"hunter2"}`, ""},
		{400, "", `hunter2`, ""},
		{400, "", "{\"name\":\"hunter2\xff\"}", ""},
		{400, "", `{"name":"hunter2\u0000"}`, ""},
		{400, "", `{"hunter2\u0000":1}`, ""},
		{400, "", `{"name":"x","name":"hunter2"}`, ""},
		{400, "", `{"name":"x","parts":[{"size":1,"size":2}]}`, ""},
		{400, "", strings.Repeat(`[`, 100) + `"hunter2"`, ""},
	} {
		e := newThings(t)
		w := e.post("/api/things"+test.query, "application/json", test.body)
		if w.Code != test.status {
			t.Errorf("%s %.60s: %d, want %d: %s", test.query, test.body, w.Code, test.status, w.Body)
			continue
		}
		if strings.Contains(w.Body.String(), secret) || strings.Contains(e.log.String(), secret) {
			t.Errorf("%s %.60s is repeated:\n%s\n%s", test.query, test.body, w.Body, e.log)
		}
		if test.status == http.StatusOK {
			continue
		}
		problem := problemIn(t, w)
		var fields []string
		for _, field := range problem.Errors {
			fields = append(fields, field.Field)
			if field.Message == "" {
				t.Errorf("%.60s: %s has no message", test.body, field.Field)
			}
		}
		if got := strings.Join(fields, " "); got != test.fields {
			t.Errorf("%s %.60s: fields %q, want %q: %s", test.query, test.body, got, test.fields, w.Body)
		}
		if len(e.log.lines(t, "request failed")) != 1 {
			t.Errorf("%.60s: want one line in the log, got %s", test.body, e.log)
		}
	}
}

func TestAnUnknownNameIsToldWhatIsKnown(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	for query, known := range map[string]string{"?limti=3": "known are limit, since", "": "kind, mail, name, parts"} {
		w := e.post("/api/things"+query, "application/json", `{"name":"x","nmae":"y"}`)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), known) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

func TestAProblemRepeatsItselfWithinBounds(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	parts := strings.TrimSuffix(strings.Repeat(`{"size":0},`, 10_000), ",")
	w := e.post("/api/things", "application/json", `{"name":"x","parts":[`+parts+`]}`)
	if problem := problemIn(t, w); w.Code != http.StatusUnprocessableEntity || len(problem.Errors) != 50 {
		t.Errorf("%d with %d fields", w.Code, len(problem.Errors))
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path, contentType string
		status                    int
	}{
		{"POST", "/api/things", "application/json", 200},
		{"POST", "/api/things", "application/json; charset=utf-8", 200},
		{"POST", "/api/things", "APPLICATION/JSON", 200},
		{"POST", "/api/things", "", 200},
		{"POST", "/api/things", "text/plain", 415},
		{"POST", "/api/things", "application/x-www-form-urlencoded", 415},
		{"POST", "/api/things", "application/evil+json", 415},
		{"POST", "/api/things", "application/merge-patch+json", 415},
		{"POST", "/api/things", "application/json/hunter2", 415},
		{"PATCH", "/api/things/1", "application/json", 200},
		{"PATCH", "/api/things/1", "application/merge-patch+json", 200},
		{"PATCH", "/api/things/1", "application/json-patch+json", 415},
	} {
		e := newThings(t)
		r := httptest.NewRequest(test.method, test.path, strings.NewReader(`{"name":"x"}`))
		r.Header.Set("Content-Type", test.contentType)
		if test.contentType == "" {
			r.Header.Del("Content-Type")
		}
		w := e.send(r)
		if w.Code != test.status {
			t.Errorf("%s %s: %d, want %d: %s", test.method, test.contentType, w.Code, test.status, w.Body)
		}
		if test.status == http.StatusUnsupportedMediaType {
			if problem := problemIn(t, w); !strings.Contains(problem.Detail, "application/json") || strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s: %s", test.contentType, w.Body)
			}
		}
	}
}

// TestAGuardComesFirst sends what is wrong in every way behind a check that
// says no.
func TestAGuardComesFirst(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	for _, test := range []struct{ query, contentType, body string }{
		{"", "application/json", `{"name":"x"}`}, {"?limit=0&x=1", "text/plain", "{"}, {"", "", ""},
	} {
		w := e.post("/api/guarded"+test.query, test.contentType, test.body)
		if w.Code != http.StatusForbidden || problemIn(t, w).Detail != "Not you." {
			t.Errorf("%v: %d %s", test, w.Code, w.Body)
		}
	}
}

func TestErrorsOfOperations(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]struct {
		status int
		detail string
	}{
		"fault": {http.StatusConflict, "It is taken."},
		"error": {http.StatusInternalServerError, ""},
		"panic": {http.StatusInternalServerError, ""},
	} {
		e := newThings(t)
		w := e.get("/api/things/" + id)
		problem := problemIn(t, w)
		if w.Code != want.status || problem.Detail != want.detail || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
		lines := e.log.lines(t, "request failed")
		if len(lines) != 1 || !strings.Contains(lines[0]["error"].(string), secret) || lines[0]["request_id"] != problem.RequestID {
			t.Errorf("%s: the cause belongs into one line of the log: %s", id, e.log)
		}
		if _, hasStack := lines[0]["stack"]; hasStack != (id == "panic") {
			t.Errorf("%s: stack in the log %v", id, hasStack)
		}
	}
}

// brokenBody breaks off.
type brokenBody struct{ strings.Reader }

func (b *brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		err = errors.New("malformed chunked encoding " + secret)
	}
	return n, err
}

func TestABodyThatBreaksOffIsTheClients(t *testing.T) {
	t.Parallel()
	e := newThings(t)
	r := httptest.NewRequest(http.MethodPost, "/api/things", &brokenBody{*strings.NewReader(`{"name":`)})
	r.Header.Set("Content-Type", "application/json")
	if w := e.send(r); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), secret) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestBodiesAreNotDecompressed(t *testing.T) {
	t.Parallel()
	for coding, want := range map[string]int{"gzip": 415, "GZIP": 415, "identity": 200, "br, gzip": 415} {
		r := httptest.NewRequest(http.MethodPost, "/api/things", strings.NewReader(`{"name":"x"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", coding)
		if w := newThings(t).send(r); w.Code != want {
			t.Errorf("%s: %d, want %d", coding, w.Code, want)
		}
	}
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	const limit = 100
	small := func(c *httpserver.Config) { c.BodyLimit = limit }
	padded := func(size int) string { return `{"name":"x"` + strings.Repeat(" ", size-len(`{"name":"x"}`)) + `}` }
	for name, test := range map[string]struct {
		body    string
		chunked bool
		status  int
	}{
		"at the limit":            {padded(limit), false, 200},
		"over the limit":          {padded(limit + 1), false, 413},
		"over the limit, chunked": {padded(limit + 1), true, 413},
		"far over the limit":      {padded(5 << 20), false, 413},
	} {
		e := newEdge(t, small, httpserver.Mount{Operations: things})
		r := httptest.NewRequest(http.MethodPost, "/api/things", strings.NewReader(test.body))
		r.Header.Set("Content-Type", "application/json")
		if test.chunked {
			r.ContentLength = -1
		}
		w := e.send(r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, test.status, w.Body)
		}
		if test.status != http.StatusOK && !strings.Contains(problemIn(t, w).Detail, "100 bytes") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil, httpserver.Mount{Operations: things}, httpserver.Mount{Surface: httpserver.TenantAPI, Operations: func(api huma.API) {
		httpserver.Register(api, huma.Operation{OperationID: "list-rows", Method: http.MethodGet, Path: "/rows"},
			func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	}})
	w := e.get("/api/openapi.json")
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Security   []map[string][]string `json:"security"`
			Parameters []struct{ Name, In string }
			Body       struct {
				Content map[string]any `json:"content"`
			} `json:"requestBody"`
			Responses map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Fatalf("%q, %v", document.OpenAPI, err)
	}
	rows, ok := document.Paths["/api/tenants/{tenant}/rows"]["get"]
	if !ok || len(rows.Security) != 3 || len(rows.Parameters) != 1 || rows.Parameters[0].Name != "tenant" {
		t.Errorf("a tenant's operation is documented as %+v", rows)
	}
	patch := document.Paths["/api/things/{id}"]["patch"]
	if len(patch.Security) != 0 || patch.Body.Content["application/merge-patch+json"] == nil {
		t.Errorf("a public patch is documented as %+v", patch)
	}
	if patch.Responses["default"].Content["application/problem+json"] == nil {
		t.Errorf("its errors are documented as %+v", patch.Responses)
	}
}

// FuzzOperation looks for a body that is answered with anything but the two
// answers there are, or with itself.
func FuzzOperation(f *testing.F) {
	e := newThings(f)
	for _, seed := range []string{`{"name":"x"}`, `{"name":"hunter2","hunter2":[]}`, "[[", `{"a":{"a":1,"a":2}}`, "\xff", `{"at":"hunter2"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := e.post("/api/things", "application/json", body)
		switch w.Code {
		case http.StatusOK:
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%q is repeated: %s", body, w.Body)
			}
			problemIn(t, w)
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
