package source

import (
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// unnamed is the name of a download for which nothing gives a better one.
const unnamed = "download"

// fileName chooses the name of a download as BuildKit does: the one asked for,
// else the one the server proposes, else the last segment of the URL's path.
// The result is always one path element that stays in its directory.
func fileName(rawURL, asked string, h http.Header) string {
	if asked != "" {
		return safeName(asked)
	}
	if _, params, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil {
		if name := params["filename"]; name != "" && !strings.HasSuffix(name, "/") {
			return safeName(name)
		}
	}
	if u, err := url.Parse(rawURL); err == nil {
		return safeName(u.Path)
	}
	return unnamed
}

func safeName(s string) string {
	name := path.Base(strings.TrimSpace(s))
	if name == "." || name == ".." || name == "/" || strings.ContainsFunc(name, unicode.IsControl) {
		return unnamed
	}
	return name
}
