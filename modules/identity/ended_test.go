package identity_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/memory"
)

func TestEndedSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inbox := memory.NewInbox()
		decode := func(_ string, payload []byte) (string, error) {
			if string(payload) == "broken" {
				return "", errors.New("broken")
			}
			return string(payload), nil
		}
		newProcess := func() *identity.EndedSessions {
			e := identity.NewEndedSessions(inbox, []string{"session.ended"}, decode, slog.New(slog.DiscardHandler))
			go e.Run(t.Context())
			return e
		}
		end := func(id, eventType, session string, received time.Time) {
			t.Helper()
			if _, err := inbox.Add(t.Context(), identity.InboxEvent{ID: id, Type: eventType, Payload: []byte(session), ReceivedAt: received}); err != nil {
				t.Fatal(err)
			}
		}
		first, second := newProcess(), newProcess()
		expect := func(what, session string, want bool) {
			t.Helper()
			if first.Has(session) != want || second.Has(session) != want {
				t.Errorf("%s: %s ended: %v, %v, want %v", what, session, first.Has(session), second.Has(session), want)
			}
		}
		expect("nothing happened", "sess_1", false)
		end("msg_1", "session.ended", "sess_1", time.Now())
		end("msg_2", "session.created", "sess_2", time.Now())
		end("msg_3", "session.ended", "broken", time.Now())
		end("msg_4", "session.ended", "", time.Now())
		for n := range 1200 {
			end(fmt.Sprint("msg_many_", n), "session.ended", fmt.Sprint("sess_many_", n), time.Now())
		}
		time.Sleep(1100 * time.Millisecond)
		for session, want := range map[string]bool{"sess_1": true, "sess_2": false, "": false, "sess_many_0": true, "sess_many_1199": true} {
			expect("after a second", session, want)
		}
		// Another process received it by a clock that is behind.
		end("msg_5", "session.ended", "sess_5", time.Now().Add(-10*time.Second))
		time.Sleep(1100 * time.Millisecond)
		expect("by a slow clock", "sess_5", true)
		if late := newProcess(); true {
			synctest.Wait()
			if !late.Has("sess_1") {
				t.Error("a process that starts does not know of it")
			}
		}
		time.Sleep(time.Minute)
		expect("after a minute", "sess_1", true)
		time.Sleep(time.Minute)
		expect("after two", "sess_1", false)
	})
}
