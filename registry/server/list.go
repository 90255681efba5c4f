package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

func (c *call) listTags() error {
	p, err := c.page()
	if err != nil {
		return err
	}
	tags, err := c.index.TagNames(c.r.Context(), c.repo, p.ask())
	if errors.Is(err, errs.ErrNotFound) {
		return errNameUnknown
	}
	if err != nil {
		return err
	}
	tags = p.cut(c, tags)
	// Neither names nor tags need escaping, and lists are long.
	size := len(c.repo) + 32
	for _, t := range tags {
		size += len(t) + 3
	}
	b := make([]byte, 0, size)
	b = append(append(append(b, `{"name":"`...), c.repo...), `","tags":[`...)
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), t...), '"')
	}
	write(c.w, http.StatusOK, append(b, `]}`...), "application/json")
	return nil
}

func (c *call) catalog() error {
	p, err := c.page()
	if err != nil {
		return err
	}
	repos, err := c.repositories(p.last, p.want())
	if err != nil {
		return err
	}
	names := make([]string, len(repos))
	for i, r := range repos {
		names[i] = r.Name
	}
	c.json(http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{p.cut(c, names)}, "application/json")
	return nil
}

// repositories lists at most n (0 is all) repositories after last that the caller may see.
func (c *call) repositories(last string, n int) ([]storage.Repository, error) {
	const step = 1000
	var out []storage.Repository
	for {
		part, err := c.index.Repositories(c.r.Context(), storage.Page{Last: last, N: step})
		if err != nil {
			return nil, err
		}
		for _, r := range part {
			if r.Manifests > 0 && c.visible(r.Name) {
				out = append(out, r)
			}
			if n > 0 && len(out) == n {
				return out, nil
			}
		}
		if len(part) < step {
			return out, nil
		}
		last = part[len(part)-1].Name
	}
}

// A page is the part of a list that the client asks for.
type page struct {
	last string
	n    int // -1 is all
}

// page reads n and last.
func (c *call) page() (page, error) {
	q := c.r.URL.Query()
	p := page{q.Get("last"), -1}
	if s := q.Get("n"); s != "" {
		var err error
		if p.n, err = strconv.Atoi(s); err != nil || p.n < 0 {
			return p, apiError{http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n is no number of entries"}
		}
	}
	return p, nil
}

// want is the number of entries to look for, one beyond the page, to know
// whether there is a next one. 0 is all.
func (p page) want() int {
	if p.n < 0 || p.n+1 < 0 {
		return 0
	}
	return p.n + 1
}

func (p page) ask() storage.Page { return storage.Page{Last: p.last, N: p.want()} }

// cut shortens list to the page and says where the next one is.
func (p page) cut(c *call, list []string) []string {
	if p.n < 0 || len(list) <= p.n {
		return list
	}
	list = list[:p.n]
	if p.n > 0 {
		q := url.Values{"n": {strconv.Itoa(p.n)}, "last": {list[p.n-1]}}
		c.w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, c.r.URL.Path, q.Encode()))
	}
	return list
}

// maxFound and usuallyFound bound the results of a search, as docker's index does.
const (
	maxFound     = 100
	usuallyFound = 25
)

// search answers docker search: repositories whose name has the words in it.
func (c *call) search() error {
	q := c.r.URL.Query()
	n := usuallyFound
	if s := q.Get("n"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > maxFound {
			return apiError{http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n is not from 1 to 100"}
		}
	}
	repos, err := c.repositories("", 0)
	if err != nil {
		return err
	}
	words := strings.Fields(strings.ToLower(q.Get("q")))
	type result struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		StarCount   int    `json:"star_count"`
		IsOfficial  bool   `json:"is_official"`
		IsAutomated bool   `json:"is_automated"`
	}
	results := []result{}
	for _, r := range repos {
		missing := slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.Name, w) })
		if !missing && len(results) < n {
			results = append(results, result{Name: r.Name})
		}
	}
	c.json(http.StatusOK, struct {
		Query      string   `json:"query"`
		NumResults int      `json:"num_results"`
		Results    []result `json:"results"`
	}{q.Get("q"), len(results), results}, "application/json")
	return nil
}
