package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/ref"
)

// A listedManifest is one manifest of a list that is being made, in the form in
// which docker keeps it.
type listedManifest struct {
	Ref              string           `json:"Ref"`
	Descriptor       image.Descriptor `json:"Descriptor"`
	Raw              []byte           `json:"Raw"`
	SchemaV2Manifest json.RawMessage  `json:"SchemaV2Manifest,omitempty"`
	OCIManifest      json.RawMessage  `json:"OCIManifest,omitempty"`
}

// set keeps the manifest once more, readable.
func (m *listedManifest) set(raw []byte) {
	if m.Descriptor.MediaType == image.MediaTypeManifest {
		m.OCIManifest = raw
	} else {
		m.SchemaV2Manifest = raw
	}
}

// manifestLists are the lists that docker manifest create makes, in the directory of
// docker's config: a directory for each list, a file for each manifest in it.
type manifestLists struct{ configDir string }

// fileName is docker's name of a file for a reference.
func fileName(r ref.Ref) string {
	return strings.NewReplacer(":", "-", "/", "_").Replace(r.String())
}

func (l manifestLists) dir(list ref.Ref) string {
	return filepath.Join(l.configDir, "manifests", fileName(list))
}

// all reads the manifests of a list; errs.ErrNotFound if there is no such list.
func (l manifestLists) all(list ref.Ref) ([]listedManifest, error) {
	entries, err := os.ReadDir(l.dir(list))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such manifest: %s: %w", list.Familiar(), errs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	var all []listedManifest
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		m, err := readListed(filepath.Join(l.dir(list), e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// get reads one manifest of a list.
func (l manifestLists) get(list, manifest ref.Ref) (listedManifest, error) {
	m, err := readListed(filepath.Join(l.dir(list), fileName(manifest)))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("manifest %s is not in the list %s: %w", manifest.Familiar(), list.Familiar(), errs.ErrNotFound)
	}
	return m, err
}

func readListed(path string) (listedManifest, error) {
	var m listedManifest
	raw, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%s: %w: %w", path, errs.ErrInvalid, err)
	}
	if err := image.CheckDescriptor(m.Descriptor); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	if m.Descriptor.Digest.Algorithm().FromBytes(m.Raw) != m.Descriptor.Digest {
		return m, fmt.Errorf("%s: it is not %s that it has: %w", path, m.Descriptor.Digest, errs.ErrDigest)
	}
	return m, nil
}

// put keeps a manifest in a list.
func (l manifestLists) put(list, manifest ref.Ref, m listedManifest) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(l.dir(list), fileName(manifest)), raw, atomicfile.Options{Perm: 0o600})
}

// remove forgets a list.
func (l manifestLists) remove(list ref.Ref) error {
	if _, err := l.all(list); errors.Is(err, errs.ErrNotFound) {
		return err
	}
	return os.RemoveAll(l.dir(list))
}

// makeList makes the list: an OCI index if the first manifest is OCI's.
func makeList(members []listedManifest) (image.Descriptor, []byte, error) {
	if len(members) == 0 {
		return image.Descriptor{}, nil, fmt.Errorf("the list has no manifests: %w", errs.ErrInvalid)
	}
	x := image.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.DockerManifestList}
	if members[0].Descriptor.MediaType == image.MediaTypeManifest {
		x.MediaType = image.MediaTypeIndex
	}
	for _, m := range members {
		p := m.Descriptor.Platform
		if p == nil || p.OS == "" || p.Architecture == "" {
			return image.Descriptor{}, nil, fmt.Errorf("manifest %s has no platform: %w: say it with: mica manifest annotate --os OS --arch ARCH", m.Ref, errs.ErrInvalid)
		}
		x.Manifests = append(x.Manifests, m.Descriptor)
	}
	raw, err := json.MarshalIndent(x, "", "   ")
	return image.NewDescriptor(x.MediaType, raw), raw, err
}
