package frontend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	commonexptypes "github.com/moby/buildkit/exporter/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Only the front end that is linked in is run; the error says what to do.
func TestForwardRefuses(t *testing.T) {
	g := &gatewayClient{}
	for _, req := range []gateway.SolveRequest{
		{Frontend: "gateway.v0", FrontendOpt: map[string]string{"source": "example.org/other:1"}},
		{Frontend: "gateway.v0"},
		{Frontend: "dockerfile.v0", FrontendOpt: map[string]string{"source": "docker/dockerfile:1"}},
	} {
		_, err := g.Solve(context.Background(), req)
		if !errors.Is(err, errs.ErrUnsupported) || !strings.Contains(err.Error(), "BUILDKIT_SYNTAX") {
			t.Errorf("%s %v: %v", req.Frontend, req.FrontendOpt, err)
		}
	}
}

func TestConvert(t *testing.T) {
	const two = `{"Platforms":[{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}},{"ID":"linux/arm64","Platform":{"architecture":"arm64","os":"linux"}}]}`
	const one = `{"Platforms":[{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}}]}`
	amd, arm := image.Platform{OS: "linux", Architecture: "amd64"}, image.Platform{OS: "linux", Architecture: "arm64"}
	a, b := &solve.Node{Digest: "sha256:a"}, &solve.Node{Digest: "sha256:b"}
	epoch := time.Unix(7, 0).UTC()
	for _, c := range []struct {
		name string
		meta map[string]string
		refs map[string]gateway.Reference
		ref  gateway.Reference
		want *Result
	}{
		{
			name: "a subrequest",
			meta: map[string]string{"result.txt": "text"},
			want: &Result{Answer: map[string][]byte{"result.txt": []byte("text")}},
		},
		{
			name: "one platform",
			meta: map[string]string{exptypes.ExporterPlatformsKey: one, exptypes.ExporterImageConfigKey: "cfg", commonexptypes.ExporterEpochKey: "7"},
			ref:  &reference{edge: solve.Edge{Node: a}},
			want: &Result{Targets: []Target{{ID: "linux/amd64", Platform: amd, Edge: solve.Edge{Node: a}, Config: []byte("cfg"), Epoch: &epoch}}},
		},
		{
			name: "two platforms",
			meta: map[string]string{
				exptypes.ExporterPlatformsKey:                    two,
				exptypes.ExporterImageConfigKey + "/linux/amd64": "c1", exptypes.ExporterImageConfigKey + "/linux/arm64": "c2",
				exptypes.ExporterImageBaseConfigKey + "/linux/arm64": "b2",
			},
			refs: map[string]gateway.Reference{"linux/amd64": &reference{edge: solve.Edge{Node: a}}, "linux/arm64": &reference{edge: solve.Edge{Node: b}}},
			want: &Result{Multi: true, Targets: []Target{
				{ID: "linux/amd64", Platform: amd, Edge: solve.Edge{Node: a}, Config: []byte("c1")},
				{ID: "linux/arm64", Platform: arm, Edge: solve.Edge{Node: b}, Config: []byte("c2"), BaseConfig: []byte("b2")},
			}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := convert(result(c.meta, c.refs, c.ref))
			if err != nil {
				t.Fatal(err)
			}
			same := cmp.Comparer(func(x, y solve.Edge) bool { return x == y })
			if diff := cmp.Diff(c.want, got, same); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, res := range map[string]*gateway.Result{
		"no list of platforms": result(map[string]string{exptypes.ExporterPlatformsKey: "x"}, nil, nil),
		"no number of seconds": result(map[string]string{exptypes.ExporterPlatformsKey: one, commonexptypes.ExporterEpochKey: "now"}, nil, &reference{}),
		"a platform without a result": result(map[string]string{exptypes.ExporterPlatformsKey: two},
			map[string]gateway.Reference{"linux/amd64": &reference{}}, nil),
	} {
		if _, err := convert(res); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func result(meta map[string]string, refs map[string]gateway.Reference, ref gateway.Reference) *gateway.Result {
	r := gateway.NewResult()
	for k, v := range meta {
		r.AddMeta(k, []byte(v))
	}
	for k, v := range refs {
		r.AddRef(k, v)
	}
	if ref != nil {
		r.SetRef(ref)
	}
	return r
}
