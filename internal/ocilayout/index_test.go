package ocilayout_test

import (
	"errors"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ocilayout"
)

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "v1")
	f.Add([]byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`), "v1")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		_ = ocilayout.MediaTypeOf(raw)
		x, err := image.ParseIndex(raw)
		if err != nil {
			return
		}
		_ = ocilayout.Entries(x)
		_, _ = ocilayout.Find(x, name)
		if len(x.Manifests) == 0 || name == "" {
			return
		}
		ocilayout.Put(&x, name, x.Manifests[0])
		d, err := ocilayout.Find(x, name)
		if err == nil && d.Digest != x.Manifests[0].Digest && !errors.Is(err, errs.ErrConflict) {
			t.Errorf("Find(%q) = %s after Put of %s", name, d.Digest, x.Manifests[0].Digest)
		}
	})
}
