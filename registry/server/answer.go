package server

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	_ "crypto/sha256" // digests that clients name
	_ "crypto/sha512" // digests that clients name
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
// Options.Authorize: 401 with UNAUTHORIZED, 403 with DENIED, 404 with NAME_UNKNOWN,
// 429 with TOOMANYREQUESTS.
func WriteError(w http.ResponseWriter, status int, code, message string) {
	writeError(w, apiError{status, code, message})
}

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

// digestIn reads a digest out of a URL.
func digestIn(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return "", apiError{http.StatusBadRequest, "DIGEST_INVALID", "invalid or unsupported digest"}
	}
	return d, nil
}
