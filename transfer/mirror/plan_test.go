package mirror_test

import (
	"strings"
	"testing"

	"github.com/mica-build/mica/transfer/mirror"
)

const goodPlan = `
concurrency = 8
verify-after = "1h"

[[sync]]
from = "alpine"
to = "localhost:5000/mirror/alpine"
tags = ["3.*"]
`

func TestParsePlan(t *testing.T) {
	for _, tt := range []struct{ name, plan, err string }{
		{"good", goodPlan, ""},
		{"empty", "", "no [[sync]]"},
		{"no TOML", "\n[[sync\n", "sync.toml:2:"},
		{"unknown setting", "[[sync]]\nfrom = 'a'\nform = 'b'\n", `sync.toml:3: there is no setting "sync.form"`},
		{"wrong type", "concurrency = 'many'\n", "sync.toml:1:"},
		{"bad duration", "verify-after = 'soon'\n[[sync]]\nfrom='a'\nto='b'", "sync.toml:1:"},
		{"no destination", "[[sync]]\nfrom = 'a'\n", "to is missing"},
		{"no source", "[[sync]]\nto = 'a'\n", "from is missing"},
		{"a tag in a repository", "[[sync]]\nfrom = 'a:1'\nto = 'b'\n", "without tag"},
		{"a digest in a destination", "[[sync]]\nfrom = 'a'\nto = 'b:1'\n", "without tag"},
		{"an archive", "[[sync]]\nfrom = 'a'\nto = 'oci-archive:x.tar'\n", "cannot be kept equal"},
		{"bad pattern", "[[sync]]\nfrom = 'a'\nto = 'b'\ntags = ['[']\n", "pattern"},
		{"bad platform", "[[sync]]\nfrom = 'a'\nto = 'b'\nplatforms = ['a/b/c/d']\n", "platform"},
		{"delete in a layout", "[[sync]]\nfrom = 'a'\nto = 'oci:b'\ndelete = true\n", "delete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mirror.ParsePlan("sync.toml", []byte(tt.plan))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(goodPlan))
	f.Add([]byte("[[sync]]\nfrom = 'a'\nto = 'oci:b'\ndelete = true\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = mirror.ParsePlan("x", raw)
	})
}

func FuzzParseLocation(f *testing.F) {
	f.Add("oci:a:b")
	f.Add("docker://x")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := mirror.ParseLocation(s)
		if err == nil && l.Kind == "" {
			t.Errorf("%q is of no kind", s)
		}
	})
}
