package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/mica-build/mica/errs"
)

// An Error is what a registry answered instead of what it was asked for.
type Error struct {
	Method  string
	URL     string // without query and user information
	Status  int    // of HTTP
	Code    string // of the registry, such as MANIFEST_UNKNOWN; "" if it gave none
	Message string // of the registry
	hint    string
}

// Error says request, status and what the registry said.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		s += ": " + strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s + e.hint
}

// Is makes 404 errs.ErrNotFound, 401 and 403 errs.ErrUnauthorized.
func (e *Error) Is(target error) bool {
	switch target {
	case errs.ErrNotFound:
		return e.Status == http.StatusNotFound
	case errs.ErrUnauthorized:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case errs.ErrTooLarge:
		return e.Status == http.StatusRequestEntityTooLarge
	}
	return false
}

// Temporary says whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// maxErrorBody is how much of an answer is read for its message.
const maxErrorBody = 64 << 10

// readSmall reads at most limit bytes of an answer. All of them have to come
// within the time in which any has to come of a blob.
func (h *host) readSmall(resp *http.Response, limit int64) ([]byte, error) {
	late := make(chan struct{})
	timer := time.AfterFunc(h.o.StallTimeout, func() {
		close(late)
		resp.Body.Close() // ends the read
	})
	defer timer.Stop()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	select {
	case <-late:
		return raw, errStalled
	default:
		return raw, err
	}
}

// refusal reads the error from an answer and closes it.
func (h *host) refusal(req *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	e := &Error{Method: req.Method, URL: redact(resp.Request.URL), Status: resp.StatusCode}
	raw, _ := h.readSmall(resp, maxErrorBody)
	e.Code, e.Message = parseErrorBody(raw)
	switch {
	case e.Status == http.StatusUnauthorized:
		e.hint = fmt.Sprintf(" (try `mica login %s`)", h.name)
	case e.Status == http.StatusForbidden:
		e.hint = fmt.Sprintf(" (the account may not do this; `mica login %s` changes it)", h.name)
	case e.Status == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "":
		e.hint = fmt.Sprintf(" (the registry asks to wait: Retry-After %s)", clean(resp.Header.Get("Retry-After")))
	}
	return e
}

// parseErrorBody understands the distribution spec's error document, and the
// {"message": …} of others.
func parseErrorBody(raw []byte) (code, message string) {
	var doc struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Message string `json:"message"`
		Details string `json:"details"`
	}
	if json.Unmarshal(raw, &doc) != nil {
		return "", ""
	}
	if len(doc.Errors) == 0 {
		if doc.Message == "" {
			doc.Message = doc.Details
		}
		return "", clean(doc.Message)
	}
	for i, e := range doc.Errors {
		if i == 0 {
			code = clean(e.Code)
		}
		if e.Message != "" && i < 4 {
			if message != "" {
				message += "; "
			}
			message += clean(e.Message)
		}
	}
	return code, message
}

// clean makes a stranger's text fit for a terminal: one line, bounded.
func clean(s string) string {
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// A tokenError is a token server's refusal, as the auth library reports it.
type tokenError struct {
	code int
	text string
}

func asTokenError(err error, out **tokenError) bool {
	var r *errcode.ErrorResponse
	if !errors.As(err, &r) {
		return false
	}
	text := http.StatusText(r.StatusCode)
	if len(r.Errors) > 0 && r.Errors[0].Message != "" {
		text = clean(r.Errors[0].Message)
	}
	*out = &tokenError{code: r.StatusCode, text: fmt.Sprintf("%d %s", r.StatusCode, text)}
	return true
}
