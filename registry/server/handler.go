package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// An Action is what somebody wants to do.
type Action string

// The actions that Options.Authorize is asked about.
const (
	Pull    Action = "pull"
	Push    Action = "push"
	Delete  Action = "delete"
	Catalog Action = "catalog" // of the whole registry: Access.Repository is ""
)

// Access is one right that a request needs.
type Access struct {
	Repository string
	Action     Action
}

// Options configure New. The zero value lets everybody do everything.
type Options struct {
	// Authorize, when not nil, is asked before each request with all the rights
	// it needs (none for the base /v2/). If it says false it has answered.
	Authorize func(w http.ResponseWriter, r *http.Request, need []Access) bool
	// ReadOnly refuses everything that writes.
	ReadOnly bool
	// MaxBlob bounds a blob's size; 0 is no bound.
	MaxBlob int64
	// Logger hears of failures that are ours; nil discards.
	Logger *slog.Logger
}

type handler struct {
	b Backend
	o Options
}

// New makes a registry over b.
func New(b Backend, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{b: b, o: o}
}

// Grammar of the distribution specification.
const (
	nameGrammar = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`
	tagGrammar  = `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
	// maxName is what common clients allow with the host's name.
	maxName = 255
)

var (
	nameForm = regexp.MustCompile(`^` + nameGrammar + `$`)
	tagForm  = regexp.MustCompile(`^` + tagGrammar + `$`)
)

// A call is one request to one repository.
type call struct {
	*handler
	w    http.ResponseWriter
	r    *http.Request
	repo string
	arg  string // what follows the API's word: reference, digest, upload id
}

// A verb is one method of one kind of URL.
type verb struct {
	action Action
	do     func(*call) error
}

// areas are the kinds of URL below a repository and the verbs of each.
func areas() map[string]map[string]verb {
	return map[string]map[string]verb{
		"manifests": {
			"GET": {Pull, (*call).getManifest}, "HEAD": {Pull, (*call).getManifest},
			"PUT": {Push, (*call).putManifest}, "DELETE": {Delete, (*call).deleteManifest},
		},
		"blobs": {
			"GET": {Pull, (*call).getBlob}, "HEAD": {Pull, (*call).getBlob}, "DELETE": {Delete, (*call).deleteBlob},
		},
		"start": {"POST": {Push, (*call).startUpload}},
		"uploads": {
			"GET": {Push, (*call).getUpload}, "PATCH": {Push, (*call).patchUpload},
			"PUT": {Push, (*call).putUpload}, "DELETE": {Push, (*call).deleteUpload},
		},
		"tags":      {"GET": {Pull, (*call).listTags}, "HEAD": {Pull, (*call).listTags}},
		"referrers": {"GET": {Pull, (*call).listReferrers}, "HEAD": {Pull, (*call).listReferrers}},
	}
}

var areaOf = areas()

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	c := &call{handler: h, w: w, r: r}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	path, ok := strings.CutPrefix(c.r.URL.Path, "/v2")
	switch {
	case !ok:
		return apiError{http.StatusNotFound, "UNSUPPORTED", "not a registry URL"}
	case path == "" || path == "/":
		return c.base()
	case path == "/_catalog":
		return c.catalog()
	}
	area := c.split(strings.TrimPrefix(path, "/"))
	if area == "" {
		return apiError{http.StatusNotFound, "UNSUPPORTED", "not a registry URL"}
	}
	if !nameForm.MatchString(c.repo) || len(c.repo) > maxName {
		return apiError{http.StatusBadRequest, "NAME_INVALID", "invalid repository name"}
	}
	v, ok := areaOf[area][c.r.Method]
	if !ok {
		return apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "method not allowed"}
	}
	need := []Access{{c.repo, v.action}}
	if from := c.r.URL.Query().Get("from"); area == "start" && from != "" {
		if !nameForm.MatchString(from) {
			return apiError{http.StatusBadRequest, "NAME_INVALID", "invalid repository name"}
		}
		need = append(need, Access{from, Pull})
	}
	if !c.allowed(need) {
		return nil
	}
	if c.o.ReadOnly && v.action != Pull {
		return apiError{http.StatusMethodNotAllowed, "DENIED", "the registry is read-only"}
	}
	return v.do(c)
}

// split finds repository, area and argument in a path. The names of areas may
// occur in repository names too: the last one counts.
func (c *call) split(path string) (area string) {
	parts := strings.Split(path, "/")
	n := len(parts)
	is := func(i int, s string) bool { return i > 0 && parts[i] == s }
	var used int
	switch {
	case is(n-2, "manifests"):
		area, used, c.arg = "manifests", 2, parts[n-1]
	case is(n-2, "referrers"):
		area, used, c.arg = "referrers", 2, parts[n-1]
	case is(n-2, "tags") && parts[n-1] == "list":
		area, used = "tags", 2
	case is(n-3, "blobs") && parts[n-2] == "uploads" && parts[n-1] == "":
		area, used = "start", 3
	case is(n-2, "blobs") && parts[n-1] == "uploads":
		area, used = "start", 2
	case is(n-3, "blobs") && parts[n-2] == "uploads":
		area, used, c.arg = "uploads", 3, parts[n-1]
	case is(n-2, "blobs"):
		area, used, c.arg = "blobs", 2, parts[n-1]
	default:
		return ""
	}
	c.repo = strings.Join(parts[:n-used], "/")
	return area
}

func (c *call) allowed(need []Access) bool {
	return c.o.Authorize == nil || c.o.Authorize(c.w, c.r, need)
}

// base says that this is a registry.
func (c *call) base() error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "method not allowed"}
	}
	if !c.allowed(nil) {
		return nil
	}
	c.json(http.StatusOK, struct{}{}, "application/json")
	return nil
}

// fail answers with err; what went wrong inside is logged, not told.
func (c *call) fail(err error) {
	var e apiError
	switch {
	case errors.As(err, &e):
	case errors.Is(err, errs.ErrNotFound):
		e = apiError{http.StatusNotFound, "NAME_UNKNOWN", "not found"}
	case errors.Is(err, errs.ErrTooLarge):
		e = apiError{http.StatusRequestEntityTooLarge, "SIZE_INVALID", "too large"}
	case c.r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		e = apiError{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the request broke off"}
	default:
		c.o.Logger.ErrorContext(c.r.Context(), "request failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
		e = apiError{http.StatusInternalServerError, "UNKNOWN", "internal error"}
	}
	writeError(c.w, e)
}

// maxManifest is the size the specification recommends to accept at least.
const maxManifest = image.MaxMetadata
