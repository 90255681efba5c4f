package redact

import (
	"bytes"
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	var m Mask
	m.Add([]byte("hunter2\n"))
	m.Add([]byte("-----KEY-----\nline one\nab\n-----END-----\n"))
	m.Add([]byte("hunter2-long"))
	m.Add([]byte("abc"))
	for in, want := range map[string]string{
		"nothing":                "nothing",
		"pw=hunter2;":            "pw=****;",
		"pw=hunter2-long;":       "pw=****;",
		"only line one of it":    "only **** of it",
		"abc ab":                 "abc ab",
		"-----KEY-----\nline on": "****\nline on",
	} {
		if got := m.String(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A value is masked however the stream is cut.
func TestWriterPieces(t *testing.T) {
	var m Mask
	m.Add([]byte("secret-value"))
	text := "a secret-value, seсret-val, secret-valsecret-value and secret-value"
	want := strings.ReplaceAll(text, "secret-value", "****")
	for size := 1; size < len(text); size++ {
		var out bytes.Buffer
		w := NewWriter(&out, &m)
		for b := []byte(text); len(b) > 0; {
			n := min(size, len(b))
			if k, err := w.Write(b[:n]); k != n || err != nil {
				t.Fatal(k, err)
			}
			b = b[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
}

func TestWriterWithoutMask(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, nil)
	w.Write([]byte("as it is"))
	if out.String() != "as it is" {
		t.Errorf("wrote %q", out.String())
	}
}
