package format

import (
	"testing"
	"time"
)

func TestSince(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		t    time.Time
		want string
	}{
		{now.Add(-30 * time.Second), "30 seconds ago"},
		{now.Add(-90 * time.Minute), "2 hours ago"},
		{now.AddDate(0, 0, -20), "2 weeks ago"},
		{now.AddDate(-3, 0, 0), "3 years ago"},
		{time.Time{}, "N/A"},
		{time.Unix(0, 0), "N/A"},
	} {
		if got := Since(now, tt.t); got != tt.want {
			t.Errorf("Since(%v) = %q, want %q", tt.t, got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		n           int64
		want, exact string
	}{
		{0, "0B", "0B"},
		{999, "999B", "999B"},
		{1234, "1.23kB", "1.234kB"},
		{77_800_000, "77.8MB", "77.8MB"},
		{1_234_567_890, "1.23GB", "1.235GB"},
	} {
		if got := Size(tt.n); got != tt.want {
			t.Errorf("Size(%d) = %q, want %q", tt.n, got, tt.want)
		}
		if got := SizeExact(tt.n); got != tt.exact {
			t.Errorf("SizeExact(%d) = %q, want %q", tt.n, got, tt.exact)
		}
	}
}

func TestShortID(t *testing.T) {
	for in, want := range map[string]string{
		"sha256:0123456789abcdef0123": "0123456789ab",
		"0123456789abcdef":            "0123456789ab",
		"abc":                         "abc",
		"":                            "",
	} {
		if got := ShortID(in); got != want {
			t.Errorf("ShortID(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEllipsis(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "long…"},
		{"äöüäöü", 6, "äöüäöü"},
		{"äöüäöüä", 6, "äöüäö…"},
	} {
		if got := Ellipsis(tt.in, tt.width); got != tt.want {
			t.Errorf("Ellipsis(%q, %d) = %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}
