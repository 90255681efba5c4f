package frontend

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// files is a backend with a few files in every tree and one image.
type files struct {
	graph *solve.Graph
	text  map[string]string
}

var _ Backend = (*files)(nil)

func (b *files) Load(def *pb.Definition) (solve.Edge, error) { return b.graph.Load(def) }

func (b *files) ReadFile(_ context.Context, _ solve.Edge, name string, limit int64) ([]byte, error) {
	text, ok := b.text[name]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return []byte(text)[:min(int64(len(text)), limit)], nil
}

func (b *files) Stat(ctx context.Context, e solve.Edge, name string) (FileInfo, error) {
	data, err := b.ReadFile(ctx, e, name, 1<<20)
	return FileInfo{Size: int64(len(data))}, err
}

func (b *files) ResolveImage(_ context.Context, r ImageRequest) (ImageAnswer, error) {
	return ImageAnswer{Ref: r.Ref, Digest: digest.FromString(r.Ref), Config: []byte(b.text["config"])}, nil
}

func (*files) ResolveGit(context.Context, *pb.SourceOp, bool) (GitAnswer, error) {
	return GitAnswer{}, errs.ErrUnsupported
}

func (*files) ResolveHTTP(context.Context, *pb.SourceOp) (HTTPAnswer, error) {
	return HTTPAnswer{}, errs.ErrUnsupported
}

func (*files) Warn(*client.VertexWarning) {}

// FuzzSolve gives the front end any Dockerfile, .dockerignore and base image: no
// panic may come of them, no front end but the one built in may run, and each
// target is in the graph.
func FuzzSolve(f *testing.F) {
	const config = `{"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"OnBuild":["RUN x","COPY . ."]}}`
	for _, s := range []string{
		"FROM scratch\nCOPY a b\n", "# syntax=example.com/evil\nFROM x\n", "#syntax=docker/dockerfile:1\n# escape=`\nFROM a AS b\nRUN <<E\nx\nE\nFROM b",
		"# check=skip=all;error=true\nARG A=b\nFROM ${A:-x}\nRUN --mount=type=cache,id=${A},target=/x,source=../.. --network=none --security=insecure x\n",
		"FROM a\nADD --checksum=sha256:x https://u:p@x/y /z\nADD git@x:y#z /q\nHEALTHCHECK --interval=1h CMD x\nSTOPSIGNAL 9\nUSER ${x%%y}\n",
		"\xef\xbb\xbf{\"syntax\":\"x\"}", "#!/x\n//syntax=y\nFROM --platform=$BUILDPLATFORM x\nWORKDIR c:\\x\nSHELL [\"a\"]\n", "FROM a\nCOPY --from=a --link --parents --exclude=* ** /\nONBUILD FROM x",
	} {
		f.Add(s, "*.go\n!x\n# c\n[", config)
	}
	f.Add("FROM x\nRUN y", "", `{"config":{"OnBuild":["ONBUILD RUN x","FROM y"],"Env":["="]},"history":null,"rootfs":{"diff_ids":[""]}}`)
	f.Add("FROM x", "", "null")
	f.Fuzz(func(t *testing.T, dockerfile, ignore, config string) {
		b := &files{solve.NewGraph(), map[string]string{"Dockerfile": dockerfile, ".dockerignore": ignore, "config": config}}
		res, err := Solve(t.Context(), b, Options{"image-resolve-mode": "local"}, []image.Platform{{OS: "linux", Architecture: "amd64"}})
		if err != nil {
			return
		}
		for _, target := range res.Targets {
			if target.Edge.Node != nil && target.Edge.Node.Op == nil {
				t.Errorf("%s is no step", target.ID)
			}
		}
	})
}

func FuzzBuiltin(f *testing.F) {
	for _, s := range []string{"docker/dockerfile:1", "docker.io/docker/dockerfile@sha256:x", "evil/dockerfile", "docker/dockerfile.evil", "x/docker/dockerfile"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if !builtin(ref) {
			return
		}
		name := strings.NewReplacer("docker.io/", "", "index.", "").Replace(ref)
		if !strings.HasPrefix(name, "docker/dockerfile") && !strings.HasPrefix(name, "dockerfile.v0") {
			t.Errorf("%q is built in", ref)
		}
	})
}
