package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/engine"
)

func TestParseTime(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, cet)
	for _, tt := range []struct {
		in   string
		want time.Time
	}{
		{"90m", now.Add(-90 * time.Minute)},
		{"24h", now.AddDate(0, 0, -1)},
		{"2026-04-01", time.Date(2026, 4, 1, 0, 0, 0, 0, cet)},
		{"2026-04-01Z", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		{"2026-04-01T10:20", time.Date(2026, 4, 1, 10, 20, 0, 0, cet)},
		{"2026-04-01T10:20:30", time.Date(2026, 4, 1, 10, 20, 30, 0, cet)},
		{"2026-04-01T10:20:30.5Z", time.Date(2026, 4, 1, 10, 20, 30, 5e8, time.UTC)},
		{"2026-04-01T10:20:30+02:00", time.Date(2026, 4, 1, 8, 20, 30, 0, time.UTC)},
		{"1577836800", time.Unix(1577836800, 0)},
		{"1577836800.25", time.Unix(1577836800, 25e7)},
	} {
		got, err := parseTime(tt.in, now)
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "yesterday", "2026-13-01", "12:00", "1.x", "1 2"} {
		if got, err := parseTime(in, now); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", in, got)
		}
	}
}

func TestParseFilters(t *testing.T) {
	got, err := parseFilters([]string{"label=a=b", "LABEL=c", "label!=d", "until= 1h"}, "label", "label!", "until")
	if err != nil {
		t.Fatal(err)
	}
	want := filters{"label": {"a=b", "c"}, "label!": {"d"}, "until": {"1h"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, in := range []string{"", "label", "other=1", "=x"} {
		if got, err := parseFilters([]string{in}, "label"); err == nil {
			t.Errorf("%q: %v, want an error", in, got)
		}
	}
}

func TestCacheFilter(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	run := engine.CacheEntry{
		ID: "abc", Type: "regular", Description: "[stage 1/2] RUN make all", Parents: []string{"p1", "p2"},
		LastUsed: now.Add(-48 * time.Hour), Shared: true,
	}
	mount := engine.CacheEntry{ID: "go", Type: "exec.cachemount", Mutable: true, InUse: true, LastUsed: now.Add(-time.Hour)}
	for _, tt := range []struct {
		filters    []string
		run, mount bool
	}{
		{nil, true, true},
		{[]string{"type=regular"}, true, false},
		{[]string{"type!=regular"}, false, true},
		{[]string{"type = regular"}, true, false},
		{[]string{"id=go"}, false, true},
		{[]string{"parents=p2"}, true, false},
		{[]string{"parents!=p2"}, false, true},
		{[]string{"description~=RUN make"}, true, false},
		{[]string{"inuse"}, false, true},
		{[]string{"inuse=false"}, true, false},
		{[]string{"mutable=true"}, false, true},
		{[]string{"immutable"}, true, false},
		{[]string{"shared"}, true, false},
		{[]string{"private"}, false, true},
		{[]string{"until=24h"}, true, false},
		{[]string{"until=24h", "private"}, false, false},
	} {
		f, err := parseCacheFilter(tt.filters, now)
		if err != nil {
			t.Errorf("%q: %v", tt.filters, err)
			continue
		}
		if run, mount := f.holds(run), f.holds(mount); run != tt.run || mount != tt.mount {
			t.Errorf("%q: step %v, mount %v; want %v, %v", tt.filters, run, mount, tt.run, tt.mount)
		}
	}
	for _, in := range []string{"", "nonsense", "id~=(", "until", "until!=1h", "until=soon", "id<3"} {
		if _, err := parseCacheFilter([]string{in}, now); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"24h", "2026-04-01", "2026-04-01T10:20:30.5Z", "1577836800.25", "-1.-1"} {
		f.Add(s)
	}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTime(s, now)
		if err != nil && !got.IsZero() {
			t.Errorf("%q: %v with %v", s, got, err)
		}
	})
}
