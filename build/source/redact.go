package source

import (
	"errors"
	"net/url"
	"strings"
)

// redactURL gives raw in a form fit for errors and logs: without user
// information, and without the values of a query, which in signed URLs are
// credentials too. What is no URL keeps only what follows its last '@'.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		user, rest, ok := cutLast(raw, "@")
		if ok && strings.ContainsAny(user, ":/") {
			return rest
		}
		return raw
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// plainCause takes away the request URL that net/http puts around an error,
// since it may hold credentials and the caller names the URL anyway.
func plainCause(err error) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	return err
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
