package checks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/lint"
)

// offline answers for every base image that it is for linux/amd64 and sets PATH.
type offline struct{}

func (offline) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers"}}`), nil
}

// buildkit gives what BuildKit's own linter says: lines and names.
func buildkit(t *testing.T, raw string, ignore []string) []string {
	t.Helper()
	opt := dockerfile2llb.ConvertOpt{
		SourceMap:      llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", []byte(raw)),
		MetaResolver:   offline{},
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"},
	}
	opt.SourceMap.Definition = &llb.Definition{}
	caps := pb.Caps.CapSet(pb.Caps.All())
	opt.LLBCaps = &caps
	_ = ignore
	res, err := dockerfile2llb.DockerfileLint(t.Context(), []byte(raw), opt)
	if err != nil {
		t.Fatal(err)
	}
	if res.Error != nil {
		t.Skipf("not built by BuildKit: %s", res.Error.Message)
	}
	var out []string
	for _, w := range res.Warnings {
		line := 0
		if w.Location != nil && len(w.Location.Ranges) > 0 {
			line = int(w.Location.Ranges[0].Start.Line)
		}
		if w.RuleName == "NoEmptyContinuation" {
			line = -1
		}
		out = append(out, fmt.Sprintf("%d %s", line, w.RuleName))
	}
	return normal(out)
}

func ours(raw string) []string {
	l := lint.Linter{Rules: All()}
	var out []string
	input := lint.Input{Name: "Dockerfile", Raw: []byte(raw), Images: func(string) (lint.Image, bool) {
		return lint.Image{OS: "linux", Architecture: "amd64", Env: []string{"PATH=/bin"}}, true
	}}
	for _, f := range l.Run(input) {
		line := f.Range.Start.Line
		if f.Code == "NoEmptyContinuation" {
			line = -1 // ours is the empty line's, BuildKit's the last of the instruction
		}
		out = append(out, fmt.Sprintf("%d %s", line, f.Code))
	}
	return normal(out)
}

func normal(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// TestOracle holds the checks to BuildKit's own linter, line by line, on every
// Dockerfile in testdata/oracle.txt.
func TestOracle(t *testing.T) {
	files := []string{filepath.Join("testdata", "oracle.txt")}
	if more := os.Getenv("LINT_ORACLE"); more != "" {
		files = append(files, more)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range strings.Split(string(raw), "\n-----\n") {
			t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
				want := buildkit(t, text, nil)
				if diff := cmp.Diff(want, ours(text)); diff != "" {
					t.Errorf("BuildKit -, mica +:\n%s\n%s", diff, text)
				}
			})
		}
	}
}
