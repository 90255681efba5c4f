package transfer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const blob = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var story = []Event{
	{Blob: blob, State: "started", Size: 4000},
	{Blob: blob, State: "moving", Bytes: 2000, Size: 4000},
	{Blob: blob, State: "done", Bytes: 4000, Size: 4000},
	{Blob: "sha256:ffff", State: "exists", Bytes: 1, Size: 1},
	{Blob: "sha256:eeee", State: "mounted", Bytes: 1, Size: 1, From: "a/b"},
}

func TestDisplay(t *testing.T) {
	tests := []struct {
		mode Mode
		want string
	}{
		{Plain, "0123456789ab done 4kB\nffff exists 1B\neeee mounted 1B from a/b\n"},
		{None, ""},
		{JSON, `{"blob":"sha256:eeee","state":"mounted","bytes":1,"size":1,"from":"a/b"}` + "\n"},
		{TTY, "4kB in 5s (800B/s)\n"},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			var b strings.Builder
			d := New(&b, tt.mode, 80)
			at := time.Unix(0, 0)
			d.now = func() time.Time { at = at.Add(time.Second); return at }
			d.begun = at.Add(time.Second)
			for _, e := range story {
				d.Event(e)
				at = time.Unix(4, 0)
			}
			at = time.Unix(5, 0)
			d.Close()
			got := b.String()
			if tt.mode == TTY {
				if !strings.Contains(got, "0123456789ab [=") || !strings.Contains(got, "\x1b[") {
					t.Errorf("nothing was drawn: %q", got)
				}
				got = got[strings.LastIndex(got, "\x1b[J")+len("\x1b[J"):]
			}
			if !strings.HasSuffix(got, tt.want) || tt.mode != JSON && got != tt.want {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	for _, tt := range []struct {
		in       string
		terminal bool
		want     Mode
		bad      bool
	}{
		{"", true, TTY, false},
		{"auto", false, Plain, false},
		{"json", true, JSON, false},
		{"quiet", false, None, false},
		{"bars", false, "", true},
	} {
		got, err := ParseMode(tt.in, tt.terminal)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("ParseMode(%q) = %q, %v", tt.in, got, err)
		}
	}
}
