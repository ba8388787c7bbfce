package clerkdev

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// apiError is an answer in Clerk's error format. Codes and statuses are
// Clerk's, as its reference and its clients name them.
type apiError struct {
	status  int
	code    string
	message string
	long    string
	param   string // the parameter at fault, "" for none
}

func (e *apiError) Error() string {
	text := "clerkdev: " + e.code + ": " + e.long
	if e.param != "" {
		text += " (" + e.param + ")"
	}
	return text
}

func errNotFound(what string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "No " + what + " was found with the given identifier.", ""}
}

var errUnknownURL = &apiError{http.StatusNotFound, "resource_not_found", "not found", "The URL was not found, or the local emulator does not implement it.", ""}

func errMissing(param string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "form_param_missing", "is missing", param + " must be included.", param}
}

func errUnknownParam(param string) *apiError {
	return &apiError{
		http.StatusUnprocessableEntity, "form_param_unknown", "is unknown",
		param + " is not a valid parameter for this request, or one that the local emulator does not implement.", param,
	}
}

func errFormat(param, long string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "form_param_format_invalid", "is invalid", long, param}
}

func errValue(param, long string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "form_param_value_invalid", "is invalid", long, param}
}

func errTaken(param, long string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "form_identifier_exists", "That value is taken. Please try another.", long, param}
}

func errBadRequest(code, long string) *apiError {
	return &apiError{http.StatusBadRequest, code, long, long, ""}
}

type errorBody struct {
	Errors  []errorItem `json:"errors"`
	TraceID string      `json:"clerk_trace_id"`
}

type errorItem struct {
	Code        string     `json:"code"`
	Message     string     `json:"message"`
	LongMessage string     `json:"long_message"`
	Meta        *errorMeta `json:"meta,omitempty"`
}

type errorMeta struct {
	ParamName string `json:"param_name"`
}

// writeError answers err in Clerk's format. What is not an apiError is logged
// and shown as an internal error without its text.
func writeError(w http.ResponseWriter, logger *slog.Logger, err error) {
	answer, ok := errors.AsType[*apiError](err)
	if !ok {
		logger.Error("clerkdev: request failed", "error", err)
		answer = &apiError{http.StatusInternalServerError, "internal_clerk_error", "Oops, an unexpected error occurred", "There was an internal error in the local Clerk emulator. Its log says more.", ""}
	}
	body := errorBody{TraceID: newSecret()[:32]}
	item := errorItem{Code: answer.code, Message: answer.message, LongMessage: answer.long}
	if answer.param != "" {
		item.Meta = &errorMeta{ParamName: answer.param}
	}
	body.Errors = []errorItem{item}
	w.Header().Set("Clerk-Trace-Id", body.TraceID)
	writeJSON(w, answer.status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that went away is the only thing that can fail here.
	_ = json.NewEncoder(w).Encode(body)
}
