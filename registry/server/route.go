package server

import (
	"strings"
)

// An Area is a kind of URL.
type Area string

// The areas. Those from Manifests on belong to a repository.
const (
	AreaNone      Area = ""
	AreaBase      Area = "base"    // /v2/
	AreaCatalog   Area = "catalog" // /v2/_catalog
	AreaPing      Area = "ping"    // /v1/_ping
	AreaSearch    Area = "search"  // /v1/search
	AreaManifests Area = "manifests"
	AreaBlobs     Area = "blobs"
	AreaStart     Area = "start"   // .../blobs/uploads/
	AreaUploads   Area = "uploads" // .../blobs/uploads/ID
	AreaTags      Area = "tags"
	AreaReferrers Area = "referrers"
)

// A Route is what a URL's path says.
type Route struct {
	Area       Area
	Repository string
	Argument   string // what follows the area's word: reference, digest, upload
}

// ParseRoute reads a path, for those who wrap the handler too: logs, metrics, proxies.
// Nothing in it is checked. What is no path of a registry has no area.
func ParseRoute(path string) Route {
	switch path {
	case "/v2", "/v2/":
		return Route{Area: AreaBase}
	case "/v2/_catalog":
		return Route{Area: AreaCatalog}
	case "/v1/_ping":
		return Route{Area: AreaPing}
	case "/v1/search":
		return Route{Area: AreaSearch}
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return Route{}
	}
	return parseRepository(rest)
}

// parseRepository finds repository, area and argument. The words of areas may
// occur in repository names too: the last one counts.
func parseRepository(path string) Route {
	head, last, _ := cutLast(path)
	head, word, ok := cutLast(head)
	if !ok {
		return Route{}
	}
	before, above, deep := cutLast(head)
	switch {
	case word == "manifests":
		return Route{AreaManifests, head, last}
	case word == "referrers":
		return Route{AreaReferrers, head, last}
	case word == "tags" && last == "list":
		return Route{AreaTags, head, ""}
	case word == "uploads" && deep && above == "blobs" && last == "":
		return Route{AreaStart, before, ""}
	case word == "blobs" && last == "uploads":
		return Route{AreaStart, head, ""}
	case word == "uploads" && deep && above == "blobs":
		return Route{AreaUploads, before, last}
	case word == "blobs":
		return Route{AreaBlobs, head, last}
	}
	return Route{}
}

// cutLast cuts at the last slash.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}
