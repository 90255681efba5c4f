package export

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
)

func FuzzAnnotation(f *testing.F) {
	for _, s := range []string{"a=b", "index:a=b", "manifest,index-descriptor[linux/amd64]:a=b=c", "manifest[:=", "[]:x=", ":="} {
		f.Add(s, s)
	}
	f.Add("annotation-manifest[linux/a.b].k", "v")
	f.Add("annotation[].k", "v")
	f.Add("annotation-index.", "")
	f.Fuzz(func(t *testing.T, s, value string) {
		list, err := ParseAnnotation(s)
		if err == nil && len(list) == 0 {
			t.Errorf("%q gives none", s)
		}
		attr, ok, err := ParseAnnotationAttr(s, value)
		if !ok && err != nil || ok && err == nil && len(attr) == 0 {
			t.Errorf("attribute %q: %v, %v, %v", s, attr, ok, err)
		}
		for _, a := range append(list, attr...) {
			if a.key == "" {
				t.Errorf("%q gives an empty key", s)
			}
		}
	})
}

// FuzzFinishConfig begins with a config that somebody else made.
func FuzzFinishConfig(f *testing.F) {
	f.Add([]byte(`{"architecture":"amd64","history":[{"created":"2020-01-01T00:00:00Z"},{"empty_layer":true}],"created":null}`))
	f.Add([]byte(`{"history":null,"rootfs":5}`))
	f.Add([]byte("null"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, _, err := finishConfig(Target{Config: raw}, []imageLayer{{diffID: digest.FromString("x")}})
		if err == nil && !json.Valid(out) {
			t.Errorf("made %s", out)
		}
	})
}
