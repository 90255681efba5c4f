package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// An apiError is an answer in the specification's form.
type apiError struct {
	status  int
	code    string
	message string
}

// Error is the message.
func (e apiError) Error() string { return e.message }

// WriteError answers with an error document, for those who write an
// Options.Authorize: 401 with UNAUTHORIZED, 403 with DENIED.
func WriteError(w http.ResponseWriter, status int, code, message string) {
	writeError(w, apiError{status, code, message})
}

// NameUnknown answers as if there were no such repository.
func NameUnknown(w http.ResponseWriter) { writeError(w, errNameUnknown) }

// TooManyRequests answers that the client is to come again after a while.
func TooManyRequests(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	WriteError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
}

var errNameUnknown = apiError{http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry"}

func writeError(w http.ResponseWriter, e apiError) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	raw, _ := json.Marshal(struct {
		Errors []one `json:"errors"`
	}{[]one{{e.code, e.message}}})
	write(w, e.status, raw, "application/json; charset=utf-8")
}

// fail answers with err; what went wrong inside is logged, not told.
func (c *call) fail(err error) {
	var e apiError
	var quota *storage.QuotaError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &quota):
		e = apiError{http.StatusForbidden, "DENIED", quota.Error()}
	case errors.Is(err, errs.ErrNotFound):
		e = errNameUnknown
	case errors.Is(err, errs.ErrTooLarge):
		e = apiError{http.StatusRequestEntityTooLarge, "SIZE_INVALID", "too large"}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		c.logFailure(err)
		e = apiError{http.StatusInsufficientStorage, "UNKNOWN", "the registry's disk is full"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		e = apiError{http.StatusRequestTimeout, "BLOB_UPLOAD_INVALID", "nothing came for too long"}
	case c.r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		e = apiError{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the request broke off"}
	default:
		c.logFailure(err)
		e = apiError{http.StatusInternalServerError, "UNKNOWN", "internal error"}
	}
	writeError(c.w, e)
}

func (c *call) logFailure(err error) {
	c.o.Logger.ErrorContext(c.r.Context(), "request failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
}

func (c *call) json(status int, v any, contentType string) {
	raw, err := json.Marshal(v)
	if err != nil {
		c.fail(err)
		return
	}
	write(c.w, status, raw, contentType)
}

func write(w http.ResponseWriter, status int, raw []byte, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that went away needs no answer
}

// event tells of what was done.
func (c *call) event(e Event) {
	e.Time, e.Repository, e.Actor, e.Request = time.Now(), c.repo, c.o.Actor(c.r), c.r
	c.o.Events(e)
}

// digestIn reads a digest out of a URL.
func digestIn(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return "", apiError{http.StatusBadRequest, "DIGEST_INVALID", "invalid or unsupported digest"}
	}
	return d, nil
}
