package export

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/image"
)

func TestFinishHistory(t *testing.T) {
	at := func(sec int64) *time.Time { x := time.Unix(sec, 0).UTC(); return &x }
	base := []image.History{{CreatedBy: "b1", Created: at(50)}, {CreatedBy: "b2", Created: at(60), EmptyLayer: true}}
	mine := append(base[:2:2], image.History{CreatedBy: "COPY"}, image.History{CreatedBy: "ENV", EmptyLayer: true})
	old, made := imageLayer{}, imageLayer{created: *at(90), step: "[1/1] COPY f /"}
	tests := []struct {
		name   string
		in     []image.History
		layers []imageLayer
		epoch  *time.Time
		want   []image.History
	}{
		{
			"no epoch", mine,
			[]imageLayer{old, made},
			nil,
			[]image.History{
				base[0], base[1],
				{CreatedBy: "COPY", Created: at(90)},
				{CreatedBy: "ENV", Created: at(90), EmptyLayer: true},
			},
		},
		{
			"the base keeps its times", mine,
			[]imageLayer{old, made},
			at(5),
			[]image.History{
				base[0], base[1],
				{CreatedBy: "COPY", Created: at(5)},
				{CreatedBy: "ENV", Created: at(5), EmptyLayer: true},
			},
		},
		{
			"a layer more than the history has", base,
			[]imageLayer{old, made},
			nil,
			[]image.History{base[0], base[1], {CreatedBy: "[1/1] COPY f /", Comment: "buildkit.exporter.image.v0", Created: at(90)}},
		},
		{
			"a layer fewer", mine,
			[]imageLayer{old},
			at(5),
			[]image.History{
				base[0], base[1],
				{CreatedBy: "COPY", Created: at(5), EmptyLayer: true},
				{CreatedBy: "ENV", Created: at(5), EmptyLayer: true},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := append([]image.History(nil), tt.in...)
			if diff := cmp.Diff(tt.want, finishHistory(in, base, tt.layers, tt.epoch)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseAnnotation(t *testing.T) {
	tests := []struct {
		in      string
		ok      bool
		place   string // where it is found
		arch    string
		want    map[string]string
		elsePos string // a place where it is not
	}{
		{"k=v", true, Manifest, "amd64", map[string]string{"k": "v"}, Index},
		{"k=v=w", true, Manifest, "amd64", map[string]string{"k": "v=w"}, Index},
		{"k=", true, Manifest, "amd64", map[string]string{"k": ""}, Index},
		{"index:k=v:w", true, Index, "", map[string]string{"k": "v:w"}, Manifest},
		{"index,manifest:k=v", true, Manifest, "amd64", map[string]string{"k": "v"}, ManifestDescriptor},
		{"manifest[linux/arm64]:k=v", true, Manifest, "arm64", map[string]string{"k": "v"}, Index},
		{"index[linux/arm64]:k=v", true, Index, "", map[string]string{"k": "v"}, Manifest},
		{"manifest[linux/arm64]:k=v", true, Manifest, "amd64", nil, Index},
		{"k", false, "", "", nil, ""},
		{"idnex:k=v", false, "", "", nil, ""},
		{"manifest:=v", false, "", "", nil, ""},
		{"manifest[x/y/z/q]:k=v", false, "", "", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			a, err := ParseAnnotation(tt.in)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if !tt.ok {
				return
			}
			if diff := cmp.Diff(tt.want, a.of(tt.place, image.Platform{OS: "linux", Architecture: tt.arch})); diff != "" {
				t.Error(diff)
			}
			if m := a.of(tt.elsePos, image.Platform{OS: "linux", Architecture: tt.arch}); m != nil {
				t.Errorf("%s has %v", tt.elsePos, m)
			}
		})
	}
}
