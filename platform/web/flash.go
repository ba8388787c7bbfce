package web

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
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
	flashAwayCookie = "flash_away" // of a flash that is for another host
	flashLifetime   = time.Minute
	flashMessageMax = 400
)

// Redirect leads to target after a form: by 303 for a browser, by a header
// that makes htmx load the page for its requests. The target is the caller's
// own address, never taken from the request unchecked. A flash, if any, is
// shown by the next page that [Render] answers with on the target's host, which is
// this one or shares a domain with it.
func Redirect(w http.ResponseWriter, r *http.Request, target string, flash *Flash) {
	if flash != nil {
		http.SetCookie(w, flashCookieFor(r, target, flash))
	}
	if IsFragmentRequest(r) {
		w.Header().Set("HX-Redirect", target)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// flashCookieFor returns the cookie that brings a flash to a target. One that crosses
// hosts says to which, so that no other host of the domain shows it.
func flashCookieFor(r *http.Request, target string, flash *Flash) *http.Cookie {
	cookie := newFlashCookie(r, flashCookie, encodeFlash(flash), flashLifetime)
	at, err := url.Parse(target)
	if err != nil || at.Host == "" || strings.EqualFold(at.Host, r.Host) {
		return cookie
	}
	here := url.URL{Host: r.Host}
	domain := commonDomain(here.Hostname(), at.Hostname())
	if domain == "" {
		return cookie
	}
	cookie.Name, cookie.Domain = flashAwayCookie, domain
	cookie.Value += "." + base64.RawURLEncoding.EncodeToString([]byte(domain+" "+strings.ToLower(at.Host)))
	return cookie
}

// commonDomain returns the longest domain of at least two labels that both hosts are
// in, "" for none.
func commonDomain(a, b string) string {
	as, bs := strings.Split(strings.ToLower(a), "."), strings.Split(strings.ToLower(b), ".")
	common := 0
	for common < min(len(as), len(bs)) && as[len(as)-1-common] == bs[len(bs)-1-common] {
		common++
	}
	if common < 2 || net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return ""
	}
	return strings.Join(as[len(as)-common:], ".")
}

// takeFlash returns the request's flash and tells the browser to forget it.
func takeFlash(w http.ResponseWriter, r *http.Request) *Flash {
	if cookie, err := r.Cookie(flashCookie); err == nil {
		http.SetCookie(w, newFlashCookie(r, flashCookie, "", -time.Second))
		return decodeFlash(cookie.Value)
	}
	cookie, err := r.Cookie(flashAwayCookie)
	if err != nil {
		return nil
	}
	at := strings.LastIndexByte(cookie.Value, '.')
	place, err := base64.RawURLEncoding.DecodeString(cookie.Value[at+1:])
	domain, host, _ := strings.Cut(string(place), " ")
	here := url.URL{Host: r.Host}
	if err != nil || at < 0 || !strings.EqualFold(host, r.Host) || commonDomain(domain, here.Hostname()) != domain {
		return nil
	}
	gone := newFlashCookie(r, flashAwayCookie, "", -time.Second)
	gone.Domain = domain
	http.SetCookie(w, gone)
	return decodeFlash(cookie.Value[:at])
}

func newFlashCookie(r *http.Request, name, value string, lifetime time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(lifetime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: FromContext(r.Context()).Secure,
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
