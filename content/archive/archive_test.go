package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

const (
	nameA = "docker.io/library/a:latest"
	nameB = "example.com:5000/b/c:v1"
)

// two is a store with two images, and how to save them.
func two(t testing.TB) (*memory.Store, []archive.Image) {
	t.Helper()
	s := memory.New()
	return s, []archive.Image{
		{Names: []string{nameA, "docker.io/library/a:other"}, Target: contenttest.Push(t, s, "base", "a")},
		{Names: []string{nameB}, Target: contenttest.Push(t, s, "base", "b")},
	}
}

func save(t testing.TB, s content.Fetcher, images []archive.Image, o archive.WriterOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := archive.Write(context.Background(), &b, s, images, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, r io.Reader) *archive.Archive {
	t.Helper()
	a, err := archive.Open(context.Background(), r, archive.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// names gives what an archive lists: each name with the layers' texts.
func names(t testing.TB, a *archive.Archive) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, img := range a.Images() {
		s := memory.New()
		if _, err := content.Copy(context.Background(), s, a, img.Target, content.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := image.ParseManifest(contenttest.Read(t, s, img.Target))
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, l := range m.Layers {
			texts = append(texts, textOf(t, contenttest.Read(t, s, l)))
		}
		for _, n := range img.Names {
			out[n] = strings.Join(texts, " ")
		}
	}
	return out
}

func textOf(t testing.TB, layer []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(layer)
	if bytes.HasPrefix(layer, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	tr := tar.NewReader(r)
	if _, err := tr.Next(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(tr)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var wantTwo = map[string]string{nameA: "base a", "docker.io/library/a:other": "base a", nameB: "base b"}

func TestRoundTrip(t *testing.T) {
	s, images := two(t)
	for _, tt := range []struct {
		name string
		o    archive.WriterOptions
		drop []string
	}{
		{"both forms", archive.WriterOptions{}, nil},
		{"OCI only", archive.WriterOptions{OCIOnly: true}, nil},
		{"docker's form only", archive.WriterOptions{}, []string{"oci-layout", "index.json", "repositories"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := without(t, save(t, s, images, tt.o), tt.drop...)
			a := open(t, bytes.NewReader(raw))
			if diff := cmp.Diff(wantTwo, names(t, a)); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			d, err := a.Resolve(context.Background(), nameB)
			if err != nil {
				t.Fatal(err)
			}
			if tt.drop == nil && d.Digest != images[1].Target.Digest {
				t.Errorf("manifest %s, want the same as before: %s", d.Digest, images[1].Target.Digest)
			}
			if _, err := a.Resolve(context.Background(), "no"); !errors.Is(err, errs.ErrNotFound) {
				t.Errorf("Resolve of no name: %v", err)
			}
		})
	}
}

// TestFiles reads an archive as a file, where it stays, and compressed.
func TestFiles(t *testing.T) {
	s, images := two(t)
	raw := save(t, s, images, archive.WriterOptions{})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": raw, "gzip": zipped.Bytes()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "in")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			temp := t.TempDir()
			a, err := archive.Open(context.Background(), f, archive.Options{TempDir: temp})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantTwo, names(t, a)); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDeterministic(t *testing.T) {
	s, images := two(t)
	one, again := save(t, s, images, archive.WriterOptions{}), save(t, s, images, archive.WriterOptions{})
	if !bytes.Equal(one, again) {
		t.Error("the same images gave other bytes")
	}
	tr := tar.NewReader(bytes.NewReader(one))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s: time %v, owner %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
		}
	}
}

// TestIndex saves an index of which one platform is here.
func TestIndex(t *testing.T) {
	s := memory.New()
	amd := contenttest.Push(t, s, "amd64")
	arm := contenttest.PushFor(t, memory.New(), image.Platform{OS: "linux", Architecture: "arm64"}, "arm64")
	x := contenttest.PushIndex(t, s, arm, amd)
	raw := save(t, s, []archive.Image{{Names: []string{nameA}, Target: x}}, archive.WriterOptions{})
	a := open(t, bytes.NewReader(raw))
	if got := a.Images(); len(got) != 1 || got[0].Target.Digest != x.Digest {
		t.Errorf("images %v, want the index %s", got, x.Digest)
	}
	dst := memory.New()
	got, err := content.Copy(context.Background(), dst, a, x, content.CopyOptions{Platform: amd.Platform})
	if err != nil || got.Digest != amd.Digest {
		t.Errorf("Copy = %s, %v", got.Digest, err)
	}
	docker := open(t, bytes.NewReader(without(t, raw, "index.json", "oci-layout", "repositories")))
	if diff := cmp.Diff(map[string]string{nameA: "amd64"}, names(t, docker)); diff != "" {
		t.Errorf("docker's form (-want +got):\n%s", diff)
	}
}

func TestWriterRefuses(t *testing.T) {
	ctx := context.Background()
	w, err := archive.NewWriter(io.Discard, archive.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := image.NewDescriptor(image.MediaTypeLayer, []byte("good"))
	if err := w.Tag(ctx, nameA, d); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("Tag before Push: %v", err)
	}
	if err := w.Push(ctx, d, strings.NewReader("evil")); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("Push of other bytes: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("Close of a spoiled archive: %v", err)
	}
}

// file is one entry of a tar; a name ending in "@" is a symbolic link to data.
type file struct{ name, data string }

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}
		if name, ok := strings.CutSuffix(f.name, "@"); ok {
			h = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: f.data}
			f.data = ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// without repacks a tar without some files.
func without(t testing.TB, raw []byte, drop ...string) []byte {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(raw))
	var files []file
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return pack(t, files...)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && !slices.Contains(drop, h.Name) {
			files = append(files, file{h.Name, string(data)})
		}
	}
}

// legacy is what docker 1.9 saved: two layers and a step without one.
func legacy(t testing.TB) []file {
	return []file{
		{"one/VERSION", "1.0"},
		{"one/json", `{"id":"one","created":"2015-01-01T00:00:00Z","container_config":{"Cmd":["/bin/sh","-c","base"]},"architecture":"amd64","os":"linux"}`},
		{"one/layer.tar", string(contenttest.Layer(t, "file", "base"))},
		{"env/json", `{"id":"env","parent":"one","throwaway":true,"os":"linux"}`},
		{"two/json", `{"id":"two","parent":"env","config":{"Cmd":["run"]},"architecture":"amd64","os":"linux"}`},
		{"two/layer.tar", string(contenttest.Layer(t, "file", "top"))},
		{"repositories", `{"old/app":{"v1":"two"}}`},
	}
}

func TestLegacy(t *testing.T) {
	a := open(t, bytes.NewReader(pack(t, legacy(t)...)))
	const name = "docker.io/old/app:v1"
	if diff := cmp.Diff(map[string]string{name: "base top"}, names(t, a)); diff != "" {
		t.Fatalf("images (-want +got):\n%s", diff)
	}
	d, err := a.Resolve(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.ParseManifest(contenttest.Read(t, a, d))
	if err != nil {
		t.Fatal(err)
	}
	c, err := image.ParseConfig(contenttest.Read(t, a, m.Config))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.History) != 3 || c.History[0].CreatedBy != "/bin/sh -c base" || !c.History[1].EmptyLayer {
		t.Errorf("history %+v", c.History)
	}
	if c.OS != "linux" || !slices.Equal(c.Config.Cmd, []string{"run"}) || len(c.RootFS.DiffIDs) != 2 {
		t.Errorf("config %+v", c)
	}
}

// dockerForm is what docker 1.10 to 24 saved, with a layer that is a link.
func dockerForm(t testing.TB, layer string, diffID digest.Digest) []file {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{diffID, diffID}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return []file{
		{"manifest.json", `[{"Config":"c.json","RepoTags":["a:latest"],"Layers":["1/layer.tar","2/layer.tar"]}]`},
		{"c.json", string(config)},
		{"1/layer.tar", layer},
		{"2/layer.tar@", "../1/layer.tar"},
	}
}

func TestDockerForm(t *testing.T) {
	plain := contenttest.Layer(t, "file", "x")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	z.Close()
	for name, layer := range map[string]string{"plain": string(plain), "gzip": zipped.String()} {
		t.Run(name, func(t *testing.T) {
			a := open(t, bytes.NewReader(pack(t, dockerForm(t, layer, digest.FromBytes(plain))...)))
			if diff := cmp.Diff(map[string]string{nameA: "x x"}, names(t, a)); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostile(t *testing.T) {
	ctx := context.Background()
	whole := pack(t, dockerForm(t, "layer", digest.FromString("layer"))...)
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, errs.ErrInvalid},
		{"text", []byte(strings.Repeat("no tar ", 200)), errs.ErrInvalid},
		{"other tar", pack(t, file{"a", "b"}), errs.ErrInvalid},
		{"cut off in a file", whole[:540], errs.ErrInvalid},
		{"cut off between files", whole[:1960], errs.ErrNotFound},
		{"manifest too large", pack(t, file{"manifest.json", strings.Repeat(" ", image.MaxMetadata+1)}), errs.ErrTooLarge},
		{"link loop", pack(t, file{"manifest.json@", "b"}, file{"b@", "manifest.json"}), errs.ErrInvalid},
		{"link outside", pack(t, file{"manifest.json@", "../../../../etc/passwd"}), errs.ErrNotFound},
		{"config outside", pack(t, file{"manifest.json", `[{"Config":"/etc/passwd"}]`}), errs.ErrNotFound},
		{"bad name", pack(t, file{"manifest.json", `[{"Config":"c","RepoTags":["A B"]}]`}, file{"c", "{}"}), errs.ErrInvalid},
		{"layers missing", pack(t, file{"manifest.json", `[{"Config":"c","Layers":["x"]}]`}, file{"c", "{}"}), errs.ErrInvalid},
		{"v1 loop", pack(t, file{"repositories", `{"a":{"b":"x"}}`}, file{"x/json", `{"parent":"x"}`}), errs.ErrTooLarge},
		{"other layout", pack(t, file{"index.json", `{}`}, file{"oci-layout", `{"imageLayoutVersion":"9"}`}), errs.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			temp := t.TempDir()
			_, err := archive.Open(ctx, bytes.NewReader(tt.raw), archive.Options{TempDir: temp})
			if !errors.Is(err, tt.want) {
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("bomb", func(t *testing.T) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		z.Close()
		if _, err := archive.Open(ctx, &b, archive.Options{TempDir: t.TempDir(), MaxBytes: 1 << 19}); !errors.Is(err, errs.ErrTooLarge) {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("layer of other bytes", func(t *testing.T) {
		a := open(t, bytes.NewReader(pack(t, dockerForm(t, "evil layer", digest.FromString("good layer"))...)))
		_, err := content.Copy(ctx, memory.New(), a, a.Images()[0].Target, content.CopyOptions{})
		if !errors.Is(err, errs.ErrDigest) {
			t.Errorf("Copy: %v", err)
		}
	})
}

// TestSkopeo has another program read what we write.
func TestSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo")
	}
	s, images := two(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "images.tar")
	if err := os.WriteFile(path, save(t, s, images[:1], archive.WriterOptions{}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]string{
		"docker-archive": "docker-archive:" + path + ":a:latest",
		"oci-archive":    "oci-archive:" + path + ":latest",
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.tar")
			cmd := exec.Command(skopeo, "--insecure-policy", "copy", src, "docker-archive:"+out+":example.com:5000/b/c:v1")
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("skopeo: %v\n%s", err, msg)
			}
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got := names(t, open(t, f))
			if diff := cmp.Diff([]string{"base a"}, slices.Collect(maps.Values(got))); diff != "" {
				t.Errorf("what skopeo wrote (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	s, images := two(f)
	f.Add(save(f, s, images, archive.WriterOptions{}))
	f.Add(pack(f, legacy(f)...))
	f.Add(pack(f, dockerForm(f, "layer", digest.FromString("layer"))...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ctx := context.Background()
		a, err := archive.Open(ctx, bytes.NewReader(raw), archive.Options{TempDir: t.TempDir(), MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		defer a.Close()
		for _, i := range a.Images() {
			_, _ = content.Copy(ctx, memory.New(), a, i.Target, content.CopyOptions{Concurrency: 1})
		}
	})
}
