package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/store"
)

// A knownTag is what a registry last said that a tag stands for.
type knownTag struct {
	Target image.Descriptor `json:"target"`
	At     time.Time        `json:"at"`
}

// tagState is where the store keeps a knownTag.
func tagState(rf ref.Ref) string {
	sum := sha256.Sum256([]byte(rf.String()))
	return "tags/" + hex.EncodeToString(sum[:16])
}

// recallTag gives what a name stood for lately, so that a rebuild asks nobody. A
// digest is known by itself, but not of what media type and size it is.
func (m *images) recallTag(rf ref.Ref, pull bool) (image.Descriptor, bool) {
	if pull || m.s.b.o.TagTTL == nil {
		return image.Descriptor{}, false
	}
	raw, err := m.s.store.State(tagState(rf))
	var known knownTag
	if err != nil || json.Unmarshal(raw, &known) != nil || image.CheckDescriptor(known.Target) != nil {
		return image.Descriptor{}, false
	}
	if rf.Digest != "" {
		return known.Target, known.Target.Digest == rf.Digest
	}
	age := time.Since(known.At)
	return known.Target, age >= 0 && age < m.s.b.o.TagTTL()
}

// rememberTag keeps what a name stands for now. Only time is lost if it cannot.
func (m *images) rememberTag(rf ref.Ref, d image.Descriptor) {
	if m.s.b.o.TagTTL == nil {
		return
	}
	if raw, err := json.Marshal(knownTag{d, time.Now().UTC()}); err == nil {
		_ = m.s.store.PutState(tagState(rf), raw)
	}
}

// keeping keeps manifests and configs in the store when it fetches them, and takes
// them from there the next time.
type keeping struct {
	content.Fetcher
	store *store.Store
}

// Fetch opens a blob.
func (k keeping) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if image.IsLayer(d.MediaType) || d.Size > image.MaxMetadata {
		return k.Fetcher.Fetch(ctx, d)
	}
	if raw, err := k.store.ReadBlob(ctx, d.Digest); err == nil {
		return content.Verify(io.NopCloser(bytes.NewReader(raw)), d), nil
	}
	rc, err := k.Fetcher.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		return nil, err
	}
	_ = k.store.Push(ctx, d, bytes.NewReader(raw)) // only time is lost if it cannot
	return content.Verify(io.NopCloser(bytes.NewReader(raw)), d), nil
}
