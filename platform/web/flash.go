package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenonhq/tenon/platform/web/ui"
)

// Flash is a message that the next page shows once.
type Flash struct {
	Kind ui.Kind
	// Message is plain text for the person; it is cut after 400 bytes so that
	// its cookie is never refused.
	Message string
}

const (
	flashCookie     = "flash"
	flashLifetime   = time.Minute
	flashMessageMax = 400
)

// Redirect leads to target after a form: by 303 for a browser, by a header
// that makes htmx load the page for its requests. The target is the caller's
// own address, never taken from the request unchecked. A flash, if any, is
// shown by the next page that [Render] answers with on this host.
func Redirect(w http.ResponseWriter, r *http.Request, target string, flash *Flash) {
	if flash != nil {
		http.SetCookie(w, newFlashCookie(r, encodeFlash(flash), flashLifetime))
	}
	if IsFragmentRequest(r) {
		w.Header().Set("HX-Redirect", target)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// takeFlash returns the request's flash and tells the browser to forget it.
func takeFlash(w http.ResponseWriter, r *http.Request) *Flash {
	cookie, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, newFlashCookie(r, "", -time.Second))
	return decodeFlash(cookie.Value)
}

func newFlashCookie(r *http.Request, value string, lifetime time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: flashCookie, Value: value, Path: "/", MaxAge: int(lifetime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	}
}

func encodeFlash(flash *Flash) string {
	message := flash.Message
	if len(message) > flashMessageMax {
		message = strings.ToValidUTF8(message[:flashMessageMax-len("…")], "") + "…"
	}
	return string(flash.Kind) + "." + base64.RawURLEncoding.EncodeToString([]byte(message))
}

// decodeFlash returns nil for anything that encodeFlash does not make: anybody
// can send a cookie.
func decodeFlash(value string) *Flash {
	kind, encoded, _ := strings.Cut(value, ".")
	message, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(message) == 0 || len(message) > flashMessageMax || !utf8.Valid(message) {
		return nil
	}
	switch kind := ui.Kind(kind); kind {
	case ui.Success, ui.Error, ui.Info:
		return &Flash{Kind: kind, Message: string(message)}
	default:
		return nil
	}
}
