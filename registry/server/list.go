package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/mica-build/mica/errs"
)

func (c *call) listTags() error {
	last, n, err := c.page()
	if err != nil {
		return err
	}
	tags, err := c.b.Tags(c.r.Context(), c.repo, last, more(n))
	if errors.Is(err, errs.ErrNotFound) {
		return apiError{http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry"}
	}
	if err != nil {
		return err
	}
	tags = c.cut(tags, n)
	c.json(http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repo, tags}, "application/json")
	return nil
}

func (c *call) catalog() error {
	if c.r.Method != http.MethodGet {
		return apiError{http.StatusMethodNotAllowed, "UNSUPPORTED", "method not allowed"}
	}
	if !c.allowed([]Access{{"", Catalog}}) {
		return nil
	}
	last, n, err := c.page()
	if err != nil {
		return err
	}
	repos, err := c.b.Repositories(c.r.Context(), last, more(n))
	if err != nil {
		return err
	}
	repos = c.cut(repos, n)
	c.json(http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{repos}, "application/json")
	return nil
}

// page reads n and last; n is -1 where all is wanted.
func (c *call) page() (last string, n int, err error) {
	q := c.r.URL.Query()
	n = -1
	if s := q.Get("n"); s != "" {
		var ok bool
		if n, ok = atoi(s); !ok {
			return "", 0, apiError{http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "invalid n"}
		}
	}
	return q.Get("last"), n, nil
}

// more asks for one entry beyond the page, to know whether there is a next one.
func more(n int) int {
	if n < 0 {
		return n
	}
	return n + 1
}

// cut shortens list to the page and says where the next one is.
func (c *call) cut(list []string, n int) []string {
	if list == nil {
		list = []string{}
	}
	if n < 0 || len(list) <= n {
		return list
	}
	list = list[:n]
	if n > 0 {
		q := url.Values{"n": {fmt.Sprint(n)}, "last": {list[n-1]}}
		c.w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, c.r.URL.Path, q.Encode()))
	}
	return list
}
