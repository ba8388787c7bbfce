// Package bearer takes API keys from requests.
package bearer

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/tenonhq/tenon/modules/apikeys"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// tenantAPI is where keys are good: each belongs to a tenant, and pages are for
// people.
const tenantAPI = "/api/tenants/"

// Authenticate returns a middleware for requests to the API of a tenant that bring
// a key as `Authorization: Bearer tenon_…`: it puts what the key stands for into
// the context as a session, or refuses the request by errors. Every other request
// passes as it is.
func Authenticate(service *apikeys.Service, errors *httpserver.ErrorWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := tokenOf(r)
			if !ok {
				next.ServeHTTP(w, r)
				return
			}
			session, err := service.Authenticate(r.Context(), text)
			if err != nil {
				errors.Write(w, r, err)
				return
			}
			ctx := identity.NewSessionContext(r.Context(), session)
			httpserver.Annotate(ctx, slog.String("account", session.AccountID), slog.String("key", session.Key.ID))
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func tokenOf(r *http.Request) (text string, ok bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return text, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(text, apikeys.TokenPrefix) && strings.HasPrefix(r.URL.Path, tenantAPI)
}
