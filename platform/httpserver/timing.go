package httpserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/felixge/httpsnoop"
)

// ObserveMessage adds a message to the database, and how long its answer took, to
// ctx's request. It does nothing outside of a request. Safe for concurrent use.
func ObserveMessage(ctx context.Context, took time.Duration) {
	if state := stateFrom(ctx); state != nil {
		state.messages.Add(1)
		state.database.Add(int64(took))
	}
}

// serverTiming says in an answer what it took until its first byte, in the header that
// browsers show beside their own figures (W3C Server Timing).
func (rt *Router) serverTiming(next http.Handler) http.Handler {
	if !rt.config.ServerTiming {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, state, said := time.Now(), stateFrom(r.Context()), false
		say := func() {
			if said {
				return
			}
			said = true
			w.Header().Set("Server-Timing", fmt.Sprintf(`db;dur=%.1f;desc="%d messages", total;dur=%.1f`,
				milliseconds(time.Duration(state.database.Load())), state.messages.Load(), milliseconds(time.Since(began))))
		}
		next.ServeHTTP(httpsnoop.Wrap(w, httpsnoop.Hooks{
			WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
				return func(status int) { say(); write(status) }
			},
			Write: func(write httpsnoop.WriteFunc) httpsnoop.WriteFunc {
				return func(body []byte) (int, error) { say(); return write(body) }
			},
		}), r)
	})
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
