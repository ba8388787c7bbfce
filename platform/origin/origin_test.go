package origin_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/origin"
)

func TestSQL(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		origin origin.Origin
		want   string
	}{
		"nobody":  {},
		"person":  {origin.Origin{Kind: origin.Person, Actor: "user_1", IP: netip.MustParseAddr("192.0.2.1"), RequestID: "r1"}, `SET LOCAL tenon.origin TO '{"kind":"person","actor":"user_1","ip":"192.0.2.1","request_id":"r1"}'; `},
		"key":     {origin.Origin{Kind: origin.Key, Actor: "user_1", APIKey: "K"}, `SET LOCAL tenon.origin TO '{"kind":"key","actor":"user_1","api_key":"K"}'; `},
		"hostile": {origin.Origin{Kind: origin.Webhook, Actor: "'; DROP TABLE users; --\\' $$"}, `SET LOCAL tenon.origin TO '{"kind":"webhook","actor":"\u0027; DROP TABLE users; --\\\u0027 $$"}'; `},
		"NUL":     {origin.Origin{RequestID: "a\x00b"}, `SET LOCAL tenon.origin TO '{"request_id":"a\ufffdb"}'; `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.origin.SQL(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestActing(t *testing.T) {
	t.Parallel()
	request := origin.Origin{IP: netip.MustParseAddr("::1"), RequestID: "r1"}
	ctx := origin.Acting(origin.NewContext(t.Context(), request), origin.Person, "user_1")
	want := request
	want.Kind, want.Actor = origin.Person, "user_1"
	if got := origin.FromContext(ctx); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := origin.FromContext(t.Context()); got != (origin.Origin{}) {
		t.Errorf("%+v without one", got)
	}
}

// The text stands between apostrophes, in front of whatever is sent.
func FuzzSQL(f *testing.F) {
	f.Add("person", "user_1", "K", "r1")
	f.Add("'", `\'`, "\x00", "\xff")
	f.Fuzz(func(t *testing.T, kind, actor, key, request string) {
		o := origin.Origin{Kind: origin.Kind(kind), Actor: actor, APIKey: key, RequestID: request}
		text, ok := strings.CutPrefix(o.SQL(), "SET LOCAL tenon.origin TO '")
		if o == (origin.Origin{}) {
			return
		}
		text, closed := strings.CutSuffix(text, "'; ")
		if !ok || !closed || strings.ContainsAny(text, "'\x00") {
			t.Errorf("%q leaves its literal", o.SQL())
		}
	})
}
