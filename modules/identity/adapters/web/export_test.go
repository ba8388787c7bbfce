package web

import (
	"net/http"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/clerk"
	"github.com/tenonhq/tenon/platform/httpserver"
)

// NewGateDeciding returns a gate that knows people by authenticate. Clerk's own
// way is tested where it is written.
func NewGateDeciding(authenticate func(*http.Request) clerk.Decision, ended *identity.EndedSessions, instance *clerk.Instance, service *identity.Service, errors *httpserver.ErrorWriter) *Gate {
	return &Gate{authenticate: authenticate, ended: ended, instance: instance, service: service, errors: errors}
}
