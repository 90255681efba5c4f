package server

import (
	"net/http"

	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/memory"
)

// Registry answers the requests of clients. New makes one.
type Registry struct {
	blobs storage.Blobs
	index storage.Index
	o     Options
	raw   *rawCache
}

var _ http.Handler = (*Registry)(nil)

// New makes a registry over s.
func New(s *storage.Storage, o Options) *Registry {
	return &Registry{blobs: s.Blobs, index: s.Index, o: o.withDefaults(), raw: newRawCache()}
}

// Memory is what NewMemory makes.
type Memory = storage.Storage

// NewMemory is a place to keep everything for as long as a test takes.
func NewMemory() *Memory { return memory.New() }

// A call is one request.
type call struct {
	*Registry
	w    http.ResponseWriter
	r    *http.Request
	repo string
	arg  string // what follows the area's word: reference, digest, upload
}

// A verb is one method of one kind of URL.
type verb struct {
	action Action
	do     func(*call) error
}

// verbsOf are the verbs of each area that belongs to a repository.
var verbsOf = map[Area]map[string]verb{
	AreaManifests: {
		"GET": {Pull, (*call).getManifest}, "HEAD": {Pull, (*call).getManifest},
		"PUT": {Push, (*call).putManifest}, "DELETE": {Delete, (*call).deleteManifest},
	},
	AreaBlobs: {
		"GET": {Pull, (*call).getBlob}, "HEAD": {Pull, (*call).headBlob}, "DELETE": {Delete, (*call).deleteBlob},
	},
	AreaStart: {"POST": {Push, (*call).startUpload}},
	AreaUploads: {
		"GET": {Push, (*call).getUpload}, "PATCH": {Push, (*call).patchUpload},
		"PUT": {Push, (*call).putUpload}, "DELETE": {Push, (*call).deleteUpload},
	},
	AreaTags:      {"GET": {Pull, (*call).listTags}, "HEAD": {Pull, (*call).listTags}},
	AreaReferrers: {"GET": {Pull, (*call).listReferrers}, "HEAD": {Pull, (*call).listReferrers}},
}

// ServeHTTP answers one request.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	c := &call{Registry: g, w: w, r: r}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

var apiVersion = []string{"registry/2.0"} // header values are not changed

func (c *call) serve() error {
	route := ParseRoute(c.r.URL.Path)
	c.repo, c.arg = route.Repository, route.Argument
	switch route.Area {
	case AreaNone:
		return apiError{http.StatusNotFound, "UNSUPPORTED", "not a registry URL"}
	case AreaBase:
		return c.read(nil, (*call).base)
	case AreaPing:
		return c.read(nil, (*call).ping)
	case AreaCatalog:
		return c.read([]Access{{"", Catalog}}, (*call).catalog)
	case AreaSearch:
		return c.read([]Access{{"", Catalog}}, (*call).search)
	}
	if !ValidName(c.repo) {
		return apiError{http.StatusBadRequest, "NAME_INVALID", "invalid repository name"}
	}
	v, ok := verbsOf[route.Area][c.r.Method]
	if !ok {
		return notAllowed
	}
	need := []Access{{c.repo, v.action}}
	if route.Area == AreaStart {
		var err error
		if need, err = c.mountNeeds(need); err != nil {
			return err
		}
	}
	if !c.authorized(need) {
		return nil
	}
	if v.action != Pull && c.o.ReadOnly() {
		return apiError{http.StatusMethodNotAllowed, "DENIED", "the registry is read-only"}
	}
	return v.do(c)
}

var notAllowed = apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "method not allowed"}

// read serves what can only be read.
func (c *call) read(need []Access, do func(*call) error) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return notAllowed
	}
	if !c.authorized(need) {
		return nil
	}
	return do(c)
}

// mountNeeds adds the right on the source of a mount, where nobody but Authorize can be asked about it.
func (c *call) mountNeeds(need []Access) ([]Access, error) {
	from := c.r.URL.Query().Get("from")
	if from == "" {
		return need, nil
	}
	if !ValidName(from) {
		return nil, apiError{http.StatusBadRequest, "NAME_INVALID", "invalid repository name"}
	}
	if c.o.Allowed == nil {
		need = append(need, Access{from, Pull})
	}
	return need, nil
}

func (c *call) authorized(need []Access) bool {
	return c.o.Authorize == nil || c.o.Authorize(c.w, c.r, need)
}

// visible says whether the caller may pull from repo.
func (c *call) visible(repo string) bool {
	return c.o.Allowed == nil || c.o.Allowed(c.r, Access{repo, Pull})
}

// base says that this is a registry.
func (c *call) base() error {
	c.json(http.StatusOK, struct{}{}, "application/json")
	return nil
}

// ping is what docker asks before a search.
func (c *call) ping() error {
	c.w.Header().Set("X-Docker-Registry-Version", "0.9.1")
	c.json(http.StatusOK, true, "application/json")
	return nil
}
