package content_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func TestVerify(t *testing.T) {
	good := []byte("0123456789")
	d := image.NewDescriptor(image.MediaTypeLayer, good)
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"good", good, nil},
		{"short", good[:9], errs.ErrDigest},
		{"long", append(bytes.Clone(good), 'x'), errs.ErrDigest},
		{"changed", []byte("0123456780"), errs.ErrDigest},
		{"empty", nil, errs.ErrDigest},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader,
			"with EOF": iotest.DataErrReader, "by half": iotest.HalfReader,
		} {
			got, err := io.ReadAll(content.Verify(io.NopCloser(wrap(bytes.NewReader(tt.data))), d))
			if !errors.Is(err, tt.want) || (err == nil && !bytes.Equal(got, good)) {
				t.Errorf("%s %s: %q, %v", tt.name, how, got, err)
			}
			// Who reads no further than the size must not get wrong bytes either.
			whole := make([]byte, len(good))
			_, err = io.ReadFull(content.Verify(io.NopCloser(wrap(bytes.NewReader(tt.data))), d), whole)
			if (err == nil) != (tt.want == nil) {
				t.Errorf("%s %s: ReadFull: %v", tt.name, how, err)
			}
		}
	}
	if _, err := io.ReadAll(content.Verify(io.NopCloser(bytes.NewReader(nil)), image.Descriptor{Digest: "md5:x"})); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("bad descriptor: %v", err)
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(content.Verify(io.NopCloser(iotest.ErrReader(broken)), d)); !errors.Is(err, broken) {
		t.Errorf("broken reader: %v", err)
	}
}

func TestVerified(t *testing.T) {
	good, other := []byte("good"), []byte("other")
	d, o := image.NewDescriptor(image.MediaTypeLayer, good), image.NewDescriptor(image.MediaTypeLayer, other)
	r := content.Verify(io.NopCloser(bytes.NewReader(good)), d)
	if content.Verified(r, d) != io.Reader(r) {
		t.Error("what is verified was wrapped again")
	}
	if _, err := io.ReadAll(content.Verified(r, o)); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("verified as another blob: %v", err)
	}
	if content.Verified(r, d) == io.Reader(r) {
		t.Error("a reader that was read passes for a whole blob")
	}
	if _, err := io.ReadAll(content.Verified(bytes.NewReader(other), d)); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("plain reader: %v", err)
	}
}
