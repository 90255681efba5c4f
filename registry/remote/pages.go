package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// maxPages bounds how many answers a list may be spread over.
const maxPages = 10_000

// eachPage reads a list that is spread over answers, beginning at u. add takes
// each decoded answer and says whether to go on.
func eachPage[P any](ctx context.Context, h *host, u *url.URL, add func(P) bool) error {
	for range maxPages {
		page, next, err := onePage[P](ctx, h, u)
		if err != nil {
			return err
		}
		if !add(page) || next == nil {
			return nil
		}
		u = next
	}
	return fmt.Errorf("the list has no end: %w", errs.ErrInvalid)
}

// onePage reads one answer, and where the next one is, nil if it was the last.
func onePage[P any](ctx context.Context, h *host, u *url.URL) (page P, next *url.URL, err error) {
	resp, err := h.do(ctx, http.MethodGet, u, nil, nil)
	if err != nil {
		return page, nil, err
	}
	defer resp.Body.Close()
	raw, err := h.readSmall(resp, image.MaxMetadata)
	if err != nil {
		return page, nil, err
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return page, nil, fmt.Errorf("%w: %w", errs.ErrInvalid, err)
	}
	next, err = nextPage(resp.Header.Get("Link"))
	return page, next, err
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
