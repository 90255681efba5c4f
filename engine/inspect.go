package engine

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// An Inspection is what docker's inspect says of an image, in its JSON.
type Inspection struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string
	Author        string
	Config        *dockerspec.DockerOCIImageConfig
	Architecture  string
	Variant       string `json:",omitempty"`
	Os            string //nolint:staticcheck // templates spell it as docker does
	OsVersion     string `json:",omitempty"` //nolint:staticcheck // templates spell it as docker does
	Size          int64
	GraphDriver   GraphDriver
	RootFS        RootFS
	Metadata      Metadata
	Descriptor    *image.Descriptor
}

// GraphDriver says where the layers' files are.
type GraphDriver struct {
	Data map[string]string
	Name string
}

// RootFS lists the layers by the digests of their uncompressed tars.
type RootFS struct {
	Type   string
	Layers []digest.Digest `json:",omitempty"`
}

// Metadata is what the store, not the image, says.
type Metadata struct {
	LastTagTime time.Time
}

// Inspect describes an image as docker does. platform, when not nil, is the one
// to show of an image for several; errs.ErrNotFound if it has none such.
func (e *Engine) Inspect(ctx context.Context, name string, platform *image.Platform) (Inspection, error) {
	m, err := e.show(ctx, name, platform)
	if err != nil {
		return Inspection{}, err
	}
	c := m.Config
	t := m.target("")
	in := Inspection{
		ID: m.ID.String(), RepoTags: short(m.Names), RepoDigests: short(m.Digests),
		Author: c.Author, Config: &c.Config,
		Architecture: c.Architecture, Variant: c.Variant, Os: c.OS, OsVersion: c.OSVersion,
		Size: m.Size, GraphDriver: e.graphDriver(ctx, m),
		RootFS:   RootFS{Type: "layers", Layers: c.RootFS.DiffIDs},
		Metadata: Metadata{LastTagTime: m.Tagged}, Descriptor: &t,
	}
	if !m.Created.IsZero() {
		in.Created = m.Created.UTC().Format(time.RFC3339Nano)
	}
	if n := len(c.History); n > 0 {
		in.Comment = c.History[n-1].Comment
	}
	return in, nil
}

// show finds an image and, with platform, insists on having it for that one.
func (e *Engine) show(ctx context.Context, name string, platform *image.Platform) (Image, error) {
	if platform == nil {
		return e.Image(ctx, name)
	}
	m, _, err := e.find(ctx, name, *platform)
	if err != nil {
		return m, err
	}
	if !m.Complete() || !platforms.OnlyStrict(*platform).Match(m.Config.Platform) {
		return m, refuse(errs.ErrNotFound, "image %s was found but is not there for platform %s", name, platforms.FormatAll(*platform))
	}
	return m, nil
}

// graphDriver names the layer trees, if the store has them all.
func (e *Engine) graphDriver(ctx context.Context, m Image) GraphDriver {
	g := GraphDriver{Name: "overlay"}
	var dirs []string
	for _, d := range m.Config.RootFS.DiffIDs {
		l, err := e.view.LayerByDiffID(ctx, d)
		if err != nil {
			return g
		}
		dirs = append([]string{l.Dir}, dirs...)
	}
	if len(dirs) == 0 {
		return g
	}
	g.Data = map[string]string{"UpperDir": dirs[0]}
	if len(dirs) > 1 {
		g.Data["LowerDir"] = strings.Join(dirs[1:], ":")
	}
	return g
}

// short gives the references as people write them; never nil.
func short(refs []string) []string {
	out := make([]string, 0, len(refs))
	for _, r := range refs {
		out = append(out, Familiar(r))
	}
	return out
}
