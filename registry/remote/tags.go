package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// maxTagPages bounds how many answers a list of tags may be spread over.
const maxTagPages = 10_000

// Tags lists the tags of the repository in the registry's order. The errors are
// those of Resolve.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	ctx = r.host.scoped(ctx, r.ref.Path, "pull")
	at := r.url("tags", "list")
	var all []string
	for range maxTagPages {
		tags, next, err := r.tagPage(ctx, at)
		if err != nil {
			return nil, fmt.Errorf("list tags of %s: %w", r.ref.FamiliarName(), err)
		}
		all = append(all, tags...)
		if next == nil {
			return all, nil
		}
		at = next
	}
	return nil, fmt.Errorf("list tags of %s: the list has no end: %w", r.ref.FamiliarName(), errs.ErrInvalid)
}

// tagPage reads one answer, and where the next one is, nil if it was the last.
func (r *Repository) tagPage(ctx context.Context, at *url.URL) (tags []string, next *url.URL, err error) {
	resp, err := r.host.do(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	var page struct {
		Tags []string `json:"tags"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, image.MaxMetadata)).Decode(&page); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errs.ErrInvalid, err)
	}
	next, err = nextPage(resp.Header.Get("Link"))
	return page.Tags, next, err
}

// nextPage reads a Link header: `</v2/…?last=…>; rel="next"`. Only its path and
// query count, so that a registry leads nowhere else.
func nextPage(link string) (*url.URL, error) {
	target, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	if !ok || !strings.Contains(rest, "next") {
		return nil, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("next page %q: %w", link, errs.ErrInvalid)
	}
	if !strings.HasPrefix(u.Path, "/v2/") {
		return nil, fmt.Errorf("next page %q: %w: it is not below /v2/", link, errs.ErrInvalid)
	}
	return &url.URL{Path: u.Path, RawQuery: u.RawQuery}, nil
}
