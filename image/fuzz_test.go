package image_test

import (
	"errors"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

const someDigest = `"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`

// check makes sure that err, if any, says what kind it is.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("error of another kind: %v", err)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":` + someDigest + `,"size":1},"layers":[{"digest":` + someDigest + `,"size":2}]}`))
	f.Add([]byte(`{"config":null,"layers":[null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := image.ParseManifest(raw)
		check(t, err)
		if err != nil {
			return
		}
		for _, d := range append(m.Layers, m.Config) {
			if d.Size < 0 || d.Digest.Validate() != nil {
				t.Errorf("unchecked descriptor %+v", d)
			}
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":`+someDigest+`,"size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`), "linux", "arm64")
	f.Add([]byte(`{"manifests":[{"digest":`+someDigest+`,"size":1}]}`), "linux", "amd64")
	f.Fuzz(func(t *testing.T, raw []byte, os, arch string) {
		x, err := image.ParseIndex(raw)
		check(t, err)
		if err != nil {
			return
		}
		d, err := image.SelectManifest(x, image.Platform{OS: os, Architecture: arch})
		if err == nil && d.Digest.Validate() != nil {
			t.Errorf("selected %+v", d)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{"type":"layers","diff_ids":[` + someDigest + `]}}`))
	f.Add([]byte(`{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":-1}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := image.ParseConfig(raw)
		check(t, err)
		if err != nil {
			return
		}
		_ = image.PlatformOf(c)
		for _, d := range c.RootFS.DiffIDs {
			if d.Validate() != nil {
				t.Errorf("unchecked diff id %q", d)
			}
		}
	})
}
