package httpserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/tenonhq/tenon/platform/fault"
)

// huma builds its own errors through package variables; this is the only place
// that sets any.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return describe(context.Background(), humaError(nil, status, message, errs)).problem
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		err := humaError(ctx.Operation(), status, message, errs)
		a := errorsFrom(ctx.Context()).log(ctx.Context(), err)
		for name, values := range a.problem.header {
			ctx.SetHeader(name, strings.Join(values, ", "))
		}
		return a.problem
	}
	// Otherwise {"name": …, "NAME": …} validates the one and uses the other.
	huma.ValidateStrictCasing = true
}

// Security schemes of the OpenAPI document.
const (
	sessionScheme = "session"
	bearerScheme  = "bearer"
	keyScheme     = "key" // within a tenant
)

const (
	jsonType       = "application/json"
	mergePatchType = "application/merge-patch+json"
)

// newDocument returns the OpenAPI document that every surface's operations go
// into.
func newDocument(config Config) *huma.OpenAPI {
	info := config.API
	if info.Title == "" {
		info.Title = "Tenon"
	}
	if info.Version == "" {
		info.Version = "1"
	}
	hooks := []huma.AddOpFunc{documentTags, documentTenant, documentMergePatch, documentAnswers, documentProblems}
	if config.Idempotency != nil {
		hooks = append(hooks, documentIdempotency)
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &info,
		Servers: []*huma.Server{{URL: config.PublicURL.Scheme + "://" + config.PublicURL.Host}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				sessionScheme: {Type: "apiKey", In: "cookie", Name: "__session", Description: "The browser's session."},
				bearerScheme:  {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A session token."},
				keyScheme:     {Type: "http", Scheme: "bearer", BearerFormat: "tenon_…", Description: "An API key of the organization."},
			},
		},
		OnAddOperation: hooks,
	}
}

// documentTags declares the tags that operations are grouped by.
func documentTags(document *huma.OpenAPI, op *huma.Operation) {
	for _, name := range op.Tags {
		if !slices.ContainsFunc(document.Tags, func(t *huma.Tag) bool { return t.Name == name }) {
			document.Tags = append(document.Tags, &huma.Tag{Name: name})
		}
	}
	// Modules register in no particular order.
	slices.SortFunc(document.Tags, func(a, b *huma.Tag) int { return strings.Compare(a.Name, b.Name) })
}

// documentTenant declares the path parameter that the surface's prefix brings
// and that no input struct needs.
func documentTenant(_ *huma.OpenAPI, op *huma.Operation) {
	declared := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "path" && p.Name == TenantParam })
	if strings.Contains(op.Path, tenantPrefix) && !declared {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: TenantParam, In: "path", Required: true, Description: "The tenant's slug.",
			Schema: &huma.Schema{Type: huma.TypeString}, Example: "acme",
		})
	}
}

// documentMergePatch lets a PATCH say what its body is (RFC 7396); plain JSON
// means the same.
func documentMergePatch(_ *huma.OpenAPI, op *huma.Operation) {
	if op.Method == http.MethodPatch && op.RequestBody != nil && op.RequestBody.Content[jsonType] != nil {
		op.RequestBody.Content[mergePatchType] = op.RequestBody.Content[jsonType]
	}
}

// documentAnswers adds what every operation does about answers that a client
// has or does not want, see [answerOnlyWhatIsWanted].
func documentAnswers(_ *huma.OpenAPI, op *huma.Operation) {
	if read := op.Responses["200"]; tagsContent(op) && read.Headers["ETag"] == nil {
		if read.Headers == nil {
			read.Headers = map[string]*huma.Param{}
		}
		read.Headers["ETag"] = &huma.Header{Description: "The content's, for If-None-Match.", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	if read := op.Responses["200"]; op.Method == http.MethodGet && read != nil && read.Headers["ETag"] != nil {
		op.Parameters = append(op.Parameters, headerParameter("If-None-Match",
			"The ETag of what you have; you get 304 and no body while it is current.", `"1-hk2fm7u2mp"`))
		op.Responses["304"] = &huma.Response{Description: "What you have is current."}
	}
	if op.Method == http.MethodGet || op.Responses["200"] == nil && op.Responses["201"] == nil {
		return
	}
	op.Parameters = append(op.Parameters, headerParameter("Prefer",
		"return=minimal (RFC 7240) leaves out the body of the answer.", returnMinimal))
	done := cmp.Or(op.Responses["200"], op.Responses["201"])
	op.Responses["204"] = &huma.Response{Description: "It is done; you prefer an answer without a body.", Headers: done.Headers}
}

func headerParameter(name, description, example string) *huma.Param {
	return &huma.Param{
		Name: name, In: "header", Description: description, Example: example, Schema: &huma.Schema{Type: huma.TypeString},
	}
}

// documentProblems adds the problems that the edge answers by itself, and one
// for what cannot be foreseen.
func documentProblems(document *huma.OpenAPI, op *huma.Operation) {
	statuses := []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
	if len(op.Security) > 0 {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	if strings.HasPrefix(op.Path, tenantAPIPrefix) {
		statuses = append(statuses, http.StatusForbidden, http.StatusNotFound)
	}
	if op.RequestBody != nil {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, status := range statuses {
		documentProblem(document, op, strconv.Itoa(status), http.StatusText(status))
	}
	// What nobody foresees is no promise of an operation.
	delete(op.Responses, strconv.Itoa(http.StatusInternalServerError))
	documentProblem(document, op, "default", "Any other problem")
}

func documentProblem(document *huma.OpenAPI, op *huma.Operation, status, description string) {
	if op.Responses[status] == nil {
		op.Responses[status] = &huma.Response{Description: description, Content: map[string]*huma.MediaType{
			problemContentType: {Schema: document.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")},
		}}
	}
}

// newAPI returns an API whose operations are served by router under prefix and
// documented in document.
func newAPI(router chi.Router, document *huma.OpenAPI, prefix string, surface Surface) huma.API {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decodeJSON}
	base := huma.NewAPI(huma.Config{
		OpenAPI:       document,
		Formats:       map[string]huma.Format{jsonType: format, "json": format},
		DefaultFormat: jsonType,
	}, chiAdapter{router})
	group := huma.NewGroup(base, prefix)
	if surface != Public {
		group.UseSimpleModifier(func(op *huma.Operation) {
			if op.Security == nil {
				op.Security = []map[string][]string{{sessionScheme: {}}, {bearerScheme: {}}}
				if surface == TenantAPI {
					op.Security = append(op.Security, map[string][]string{keyScheme: {}})
				}
			}
		})
	}
	return group
}

// Register adds an operation to api. Its handler returns errors as use cases
// do, by fault kind; they are logged and answered in the same place as all
// others.
//
// What is submitted is checked in this order: the operation's middlewares (see
// [Guard]), the content type (415), and then parameters and body together
// (422). Unknown query parameters and JSON properties are errors. Rules that a
// schema cannot state belong into the use case, not into a huma.Resolver, whose
// messages are not shown.
func Register[I, O any](api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes = -1 // the router's limit holds; huma's is off by one
	op.RejectUnknownQueryParameters = true
	op.Middlewares = append(slices.Clone(op.Middlewares), answerOnce, answerOnlyWhatIsWanted, requireMediaType)
	op.Metadata = maps.Clone(op.Metadata)
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[registryKey] = api.OpenAPI().Components.Schemas
	huma.Register(api, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handler(ctx, input)
		if err != nil {
			return nil, errorsFrom(ctx).log(ctx, err).problem
		}
		return output, nil
	})
}

// Guard returns a middleware for an operation that runs check before any of
// the input is looked at, so that 403 comes before 422.
func Guard(check func(context.Context) error) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := check(ctx.Context()); err != nil {
			writeHumaError(ctx, err)
			return
		}
		next(ctx)
	}
}

// GuardValue is [Guard] whose check finds what the operation is about by the path's
// parameters; the handler's context has it under key.
func GuardValue[T any](key any, find func(ctx context.Context, param func(name string) string) (T, error)) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		value, err := find(ctx.Context(), ctx.Param)
		if err != nil {
			writeHumaError(ctx, err)
			return
		}
		next(huma.WithValue(ctx, key, value))
	}
}

func writeHumaError(ctx huma.Context, err error) {
	r, w := humachi.Unwrap(ctx)
	errorsFrom(r.Context()).Write(w, r, err)
}

// requireMediaType refuses bodies of a type that the operation does not take.
// huma by itself takes anything that ends in "+json", and knows the types in
// lower case alone.
func requireMediaType(ctx huma.Context, next func(huma.Context)) {
	body := ctx.Operation().RequestBody
	// Nothing is decompressed, so no small body becomes a large one.
	if coding := ctx.Header("Content-Encoding"); body != nil && coding != "" && !strings.EqualFold(coding, "identity") {
		writeHumaError(ctx, errEncodedBody())
		return
	}
	if contentType := ctx.Header("Content-Type"); body != nil && contentType != "" {
		mediaType, parameters, err := mime.ParseMediaType(contentType)
		if _, ok := body.Content[mediaType]; err != nil || !ok {
			writeHumaError(ctx, errUnsupportedMediaType(mediaTypes(body)))
			return
		}
		r, _ := humachi.Unwrap(ctx)
		r.Header.Set("Content-Type", mime.FormatMediaType(mediaType, parameters))
	}
	next(ctx)
}

func mediaTypes(body *huma.RequestBody) []string {
	var types []string
	for mediaType := range body.Content {
		types = append(types, mediaType)
	}
	slices.Sort(types)
	return types
}

// serveDocument answers the OpenAPI document, encoded once all modules have
// registered.
func serveDocument(document *huma.OpenAPI) http.HandlerFunc {
	encoded := sync.OnceValues(func() ([]byte, error) { return json.Marshal(document) })
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := encoded()
		if err != nil {
			errorsFrom(r.Context()).Write(w, r, fault.Wrap("encode the OpenAPI document", err))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body) // fails only when the client has gone
	}
}

// chiAdapter is humachi's with the read deadline left to the server: huma sets
// one of its own on the connection and never takes it back, which ends the
// context of a handler that works longer.
type chiAdapter struct{ router chi.Router }

func (a chiAdapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.router.MethodFunc(op.Method, op.Path, func(w http.ResponseWriter, r *http.Request) {
		handler(chiContext{humachi.NewContext(op, r, w)})
	})
}

func (a chiAdapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

type humaContext huma.Context

type chiContext struct{ humaContext }

func (chiContext) SetReadDeadline(time.Time) error { return nil }

// Unwrap is how humachi finds its own context.
func (c chiContext) Unwrap() huma.Context { return c.humaContext }

// humaError classifies an error that huma made. op is nil outside of a
// request.
func humaError(op *huma.Operation, status int, message string, errs []error) error {
	cause := errors.Join(append([]error{errors.New(message)}, logSafe(errs)...)...)
	for _, err := range errs {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return errBodyTooLarge(tooLarge.Limit).WithCause(cause)
		}
	}
	if message == "cannot read request body" { // not by huma's fault: its client's framing is broken, or it has gone
		return errMalformed("The body did not arrive whole.")
	}
	switch status {
	case http.StatusBadRequest:
		if len(errs) == 0 {
			return errMalformed("The body is missing.")
		}
		return errMalformed(malformedMessage(errs))
	case http.StatusRequestTimeout:
		return errBodyTimeout()
	case http.StatusUnprocessableEntity:
		return fault.InvalidFields(validationFields(op, errs)...)
	}
	return fault.New(fault.Internal, "").WithCause(cause)
}
