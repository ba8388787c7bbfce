package apikeys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/modules/apikeys"
)

// pattern is what DECISIONS and scanners are told.
var pattern = regexp.MustCompile(`^tenon_[A-Z2-7]{49}$`)

func TestTokens(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		token := apikeys.NewToken()
		text := token.Reveal()
		if !pattern.MatchString(text) || seen[text] || seen[token.ID()] {
			t.Fatalf("%s", text)
		}
		seen[text], seen[token.ID()] = true, true
		parsed, err := apikeys.ParseToken(text)
		if err != nil || parsed != token {
			t.Fatalf("%s: %v", text, err)
		}
		for i := range len(text) { // one letter that is mistyped
			wrong := []byte(text)
			wrong[i] = 'A'
			if text[i] == 'A' {
				wrong[i] = 'B'
			}
			if _, err := apikeys.ParseToken(string(wrong)); !errors.Is(err, apikeys.ErrInvalidToken) {
				t.Fatalf("%s is taken for %s", wrong, text)
			}
		}
		for _, wrong := range []string{strings.ToLower(text), text[:len(text)-1], text + "A", " " + text, text + "\n", "Bearer " + text, strings.TrimPrefix(text, "tenon_"), "", "tenon_"} {
			if _, err := apikeys.ParseToken(wrong); !errors.Is(err, apikeys.ErrInvalidToken) {
				t.Errorf("%q is a token", wrong)
			}
		}
	}
}

// TestATokenKeepsItsSecret prints a token in every way there is.
func TestATokenKeepsItsSecret(t *testing.T) {
	t.Parallel()
	token := apikeys.NewToken()
	secret := token.Reveal()[len("tenon_"+token.ID()):]
	secret = secret[:26]
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("x", "token", token, "in", struct{ T apikeys.Token }{token}, "pointer", &token, "error", fmt.Errorf("with %v", token))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", token)
		fmt.Fprintf(&out, verb+"\n", []any{token, &token, map[string]apikeys.Token{"a": token}})
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"a": token, "b": []apikeys.Token{token}}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
		t.Errorf("the secret %s is in\n%s", secret, text)
	} else if !strings.Contains(text, apikeys.Hint(token.ID())) {
		t.Errorf("nothing tells which token it is:\n%s", text)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(apikeys.NewToken().Reveal())
	f.Add("tenon_" + strings.Repeat("A", 49))
	f.Add("tenon_" + strings.Repeat("\xff", 49))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := apikeys.ParseToken(text)
		if err != nil {
			return
		}
		if token.Reveal() != text || !pattern.MatchString(text) {
			t.Errorf("%q is taken for %q", text, token.Reveal())
		}
	})
}
