package remote

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/ref"
)

func TestTagsOverPages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pages map[string][2]string // by query: body and Link
		want  []string
		err   string
	}{
		{"one page", map[string][2]string{"": {`{"name":"a/b","tags":["1","2"]}`, ""}}, []string{"1", "2"}, ""},
		{"two pages", map[string][2]string{
			"":       {`{"tags":["1"]}`, `</v2/a/b/tags/list?last=1>; rel="next"`},
			"last=1": {`{"tags":["2"]}`, ""},
		}, []string{"1", "2"}, ""},
		{"none", map[string][2]string{"": {`{"name":"a/b","tags":null}`, ""}}, nil, ""},
		{"another host is not asked", map[string][2]string{
			"":       {`{"tags":["1"]}`, `<http://192.0.2.1/v2/a/b/tags/list?last=1>; rel="next"`},
			"last=1": {`{"tags":["2"]}`, ""},
		}, []string{"1", "2"}, ""},
		{"out of the API", map[string][2]string{"": {`{"tags":["1"]}`, `</secret>; rel="next"`}}, nil, "not below /v2/"},
		{"no JSON", map[string][2]string{"": {`<html>`, ""}}, nil, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page, ok := tt.pages[r.URL.RawQuery]
				if r.URL.Path == "/v2/" {
					return
				}
				if r.URL.Path != "/v2/a/b/tags/list" || !ok {
					http.NotFound(w, r)
					return
				}
				if page[1] != "" {
					w.Header().Set("Link", page[1])
				}
				_, _ = w.Write([]byte(page[0]))
			}))
			defer s.Close()
			r, err := ref.Parse(strings.TrimPrefix(s.URL, "http://") + "/a/b")
			if err != nil {
				t.Fatal(err)
			}
			got, err := New(Options{}).Repository(r).Tags(context.Background())
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want one with %q", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
