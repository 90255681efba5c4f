package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// Catalog lists the repositories of a registry, as many as limit, 0 for all. Many
// registries give it to nobody (docker.io), or to administrators.
func (c *Client) Catalog(ctx context.Context, hostName string, limit int) ([]string, error) {
	return c.catalog(ctx, c.host(hostName), limit, func(string) bool { return true })
}

func (c *Client) catalog(ctx context.Context, h *host, limit int, want func(string) bool) ([]string, error) {
	ctx = auth.AppendScopesForHost(ctx, h.addr, "registry:catalog:*")
	h.introduce(ctx)
	u := &url.URL{Path: "/v2/_catalog"}
	var all []string
	err := eachPage(ctx, h, u, func(page struct {
		Repositories []string `json:"repositories"`
	},
	) bool {
		for _, name := range page.Repositories {
			if want(name) {
				all = append(all, name)
			}
		}
		return limit <= 0 || len(all) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("list repositories of %s: %w", h.name, err)
	}
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// A Hit is one repository that Search found.
type Hit struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Stars       int    `json:"star_count"`
	Official    bool   `json:"is_official"`
}

// hubSearch is where docker.io is searched.
const hubSearch = "index.docker.io"

// Search looks for repositories by a term: at docker.io and wherever there is
// docker's search API, as that registry understands it; elsewhere it is part of the
// repository's name. limit is the most hits wanted.
//
// Source: docker's registry API v1, GET /v1/search.
func (c *Client) Search(ctx context.Context, hostName, term string, limit int) ([]Hit, error) {
	h := c.host(hostName)
	u := &url.URL{Path: "/v1/search", RawQuery: url.Values{"q": {term}, "n": {strconv.Itoa(limit)}}.Encode()}
	if h.name == ref.DefaultDomain {
		u.Scheme, u.Host = "https", hubSearch
	}
	hits, err := h.search(ctx, u)
	if err == nil && len(hits) > limit {
		hits = hits[:limit]
	}
	var refused *Error
	if h.name == ref.DefaultDomain || err == nil || !errors.Is(err, errs.ErrInvalid) && !errors.As(err, &refused) {
		return hits, err
	}
	names, cerr := c.catalog(ctx, h, limit, func(name string) bool { return strings.Contains(name, term) })
	if cerr != nil {
		return nil, fmt.Errorf("%w; nor is there a catalog: %w", err, cerr)
	}
	hits = make([]Hit, len(names))
	for i, name := range names {
		hits[i].Name = name
	}
	return hits, nil
}

// introduce lets the registry ask who we are, which it need not do where it shows
// everybody something, and us more.
func (h *host) introduce(ctx context.Context) { _ = h.ping(ctx) }

func (h *host) search(ctx context.Context, u *url.URL) ([]Hit, error) {
	if u.Host == "" {
		h.introduce(ctx)
	}
	resp, err := h.do(ctx, http.MethodGet, u, http.Header{"X-Docker-Token": {"true"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", h.name, err)
	}
	defer resp.Body.Close()
	raw, err := h.readSmall(resp, image.MaxMetadata)
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", h.name, err)
	}
	var found struct {
		Results []Hit `json:"results"`
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, fmt.Errorf("search %s: %w: %w", h.name, errs.ErrInvalid, err)
	}
	return found.Results, nil
}
