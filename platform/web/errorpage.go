package web

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tenonhq/tenon/platform/fault"
	"github.com/tenonhq/tenon/platform/web/ui"
)

// ErrorPage answers with a page that says what happened, what to do about it,
// and requestID for the person to quote. It shows err's message and fields,
// which are written for clients, never its cause; err may be nil. The page
// stands in the tenant's layout when the context's [Shell] has a tenant.
//
// htmx gets a toast instead, and the page that asked stays as it was.
func ErrorPage(w http.ResponseWriter, r *http.Request, status int, err *fault.Error, requestID string) {
	problem := describe(status, err)
	problem.RequestID = requestID
	if err != nil && err.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds()))))
	}
	w.Header().Set("Cache-Control", "no-store")

	shell := shellFor(w, r, problem.Title)
	page := document(shell, errorPage(shell, problem))
	if IsFragmentRequest(r) {
		w.Header().Set("HX-Retarget", "#toasts")
		w.Header().Set("HX-Reswap", "beforeend")
		page = ui.Toast(ui.ToastProps{Kind: ui.Error, Title: problem.Title, Message: problem.toastMessage()})
	}
	if err := write(w, r, status, shell, page); err != nil {
		// The layout itself is what fails: plain text is all that is left.
		http.Error(w, fmt.Sprintf("%s\n\n%s\n\nRequest %s", problem.Title, problem.Advice, requestID), status)
	}
}

// problem is an error as a person reads it.
type problem struct {
	Status    int
	Title     string // what happened
	Message   string // the error's own words, may be empty
	Advice    string // what to do
	Fields    []fault.Field
	RequestID string
	// Retry offers to load the page again.
	Retry bool
	// SignIn offers to sign in and come back.
	SignIn bool
}

func (p problem) toastMessage() string {
	message := p.Message
	if message == "" {
		message = p.Advice
	}
	for _, field := range p.Fields {
		message += " " + field.Message
	}
	return message
}

func describe(status int, err *fault.Error) problem {
	p := problem{Status: status}
	if err != nil {
		p.Message, p.Fields = err.Message, err.Fields
	}
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		p.Title = "That request was not understood"
		p.Advice = "Go back, check what you entered and send it again."
	case http.StatusUnauthorized:
		p.Title = "Please sign in"
		p.Advice = "Your session has ended, or you have not signed in yet. Sign in and you will be brought back here."
		p.SignIn = true
	case http.StatusForbidden:
		p.Title = "You don’t have access to this"
		p.Advice = "If you need it, ask an owner or an admin of the organization."
		if err != nil && err.Kind == fault.Suspended {
			p.Title, p.Message = "This organization is suspended", "" // the same in other words
			p.Advice = "Nobody gets in at the moment, and nothing is lost. Ask its owner or our support."
		}
	case http.StatusNotFound, http.StatusGone:
		p.Title = "We can’t find that page"
		p.Advice = "It may have been moved or deleted, or it belongs to an organization you are not a member of. Check the address, or start from the overview."
		if p.Message != "" {
			p.Advice = "Check the address, or start from the overview."
		}
	case http.StatusMethodNotAllowed:
		p.Title = "That does not work here"
		p.Advice = "This address exists, but not for what was tried. Go back and use the links and buttons of the page."
	case http.StatusConflict, http.StatusPreconditionFailed:
		p.Title = "Somebody else was faster"
		p.Advice = "What you changed has changed in the meantime. Load the page again and repeat your change if it is still needed."
		p.Retry = true
	case http.StatusRequestEntityTooLarge:
		p.Title = "That is too large"
		p.Advice = "Send less at a time, or a smaller file."
	case http.StatusTooManyRequests:
		p.Title = "That was a little fast"
		p.Advice = "There were too many requests. " + waitAdvice(err)
		p.Retry = true
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		p.Title = "We’ll be right back"
		p.Advice = "A part of the service is not answering at the moment. Nothing of yours is lost. " + waitAdvice(err)
		p.Retry = true
	default:
		if status < http.StatusInternalServerError {
			p.Title = "That did not work"
			p.Advice = "Go back and try again."
			return p
		}
		p.Title = "Something went wrong on our side"
		p.Advice = "It has been recorded. Try again; if it keeps happening, tell support the request id below."
		p.Retry = true
	}
	return p
}

func waitAdvice(err *fault.Error) string {
	if err == nil || err.RetryAfter <= 0 {
		return "Wait a moment, then try again."
	}
	seconds := int(math.Ceil(err.RetryAfter.Seconds()))
	if seconds == 1 {
		return "Wait a second, then try again."
	}
	if seconds <= 90 {
		return fmt.Sprintf("Wait %d seconds, then try again.", seconds)
	}
	return fmt.Sprintf("Wait %d minutes, then try again.", int(math.Ceil(err.RetryAfter.Round(time.Second).Minutes())))
}
