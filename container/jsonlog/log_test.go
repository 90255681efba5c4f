package jsonlog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, l *Log, stream string, pieces ...string) {
	t.Helper()
	s := l.Stream(stream)
	for _, p := range pieces {
		if n, err := s.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// texts reads a log.
func texts(t *testing.T, path string, o ReadOptions) []string {
	t.Helper()
	var out []string
	err := Read(t.Context(), path, o, func(e Entry) error {
		out = append(out, e.Stream[3:]+" "+e.Log)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLog(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"lines", []string{"one\ntwo\n"}, []string{"out one\n", "out two\n"}},
		{"in pieces", []string{"o", "ne", "\ntw", "o\n"}, []string{"out one\n", "out two\n"}},
		{"without an end", []string{"one"}, []string{"out one"}},
		{"empty line", []string{"\n"}, []string{"out \n"}},
		{"long", []string{long + "y\n"}, []string{"out " + long, "out y\n"}},
		{"long, in pieces", []string{long[:100], long, "\n"}, []string{"out " + long, "out " + long[:100] + "\n"}},
		{"odd bytes", []string{"\x00\x1b[1m\"\\<&>\t\xff€\r\n"}, []string{"out \x00\x1b[1m\"\\<&>\t\ufffd€\r\n"}},
	} {
		path := filepath.Join(t.TempDir(), "log")
		l, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		write(t, l, "stdout", tt.pieces...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, texts(t, path, ReadOptions{Tail: -1})); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(path, Options{MaxSize: 300, MaxFile: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 20 {
		write(t, l, "stderr", fmt.Sprintf("line %02d\n", i))
	}
	got := texts(t, path, ReadOptions{Tail: -1})
	if len(got) < 6 || got[len(got)-1] != "err line 19\n" {
		t.Errorf("%q", got)
	}
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Errorf("%q after %q", got[i], got[i-1])
		}
	}
	for i, want := range []bool{true, true, true, false} {
		st, err := os.Stat(numbered(path, i))
		if (err == nil) != want || want && st.Size() > 300 {
			t.Errorf("file %d: %v", i, err)
		}
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(path, Options{MaxSize: 400, MaxFile: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := texts(t, path, ReadOptions{Tail: 3}); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
	var all []string
	for i := range 12 {
		all = append(all, fmt.Sprintf("out line %02d\n", i))
		write(t, l, "stdout", all[i][4:])
	}
	for n := range 15 {
		got := texts(t, path, ReadOptions{Tail: n})
		if diff := cmp.Diff(all[max(0, 12-n):], append([]string{}, got...)); diff != "" {
			t.Errorf("%d: %s", n, diff)
		}
	}
}

func TestTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 5 {
		l.now = func() time.Time { return time.Unix(int64(i), 0) }
		write(t, l, "stdout", fmt.Sprint(i))
	}
	got := texts(t, path, ReadOptions{Tail: -1, Since: time.Unix(1, 0), Until: time.Unix(3, 0)})
	if diff := cmp.Diff([]string{"out 1", "out 2", "out 3"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestFollow reads a log while it is written and rotated.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(path, Options{MaxSize: 5000, MaxFile: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ended atomic.Bool
	go func() {
		s := l.Stream("stdout")
		for i := range 200 {
			fmt.Fprintf(s, "%03d\n", i)
			if i%50 == 49 {
				time.Sleep(3 * followEvery)
			}
		}
		ended.Store(true)
	}()
	var out strings.Builder
	err = Read(t.Context(), path, ReadOptions{Tail: -1, Follow: true, Ended: ended.Load}, func(e Entry) error {
		out.WriteString(e.Log)
		return nil
	})
	if err != nil || !strings.HasSuffix(out.String(), "199\n") || strings.Count(out.String(), "\n") < 190 {
		t.Errorf("%v, %d lines", err, strings.Count(out.String(), "\n"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = Read(ctx, path, ReadOptions{Follow: true, Ended: func() bool { return false }}, func(Entry) error { return nil })
	if err == nil {
		t.Error("a reader that was stopped went on")
	}
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte("text\n"))
	f.Add([]byte("\xff\x00\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		line := appendEntry(nil, "stdout", text, time.Unix(1, 2))
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %v", line, err)
		}
		if want := strings.ToValidUTF8(string(text), "\ufffd"); strings.ReplaceAll(e.Log, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Errorf("%q is %q", text, e.Log)
		}
	})
}

// FuzzRead reads what anybody may have written.
func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}\nhalf"), 1)
	f.Fuzz(func(t *testing.T, raw []byte, tail int) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(t.Context(), path, ReadOptions{Tail: tail}, func(Entry) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}
