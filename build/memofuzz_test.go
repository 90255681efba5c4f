package build

import (
	"testing"

	"github.com/moby/buildkit/client"

	"github.com/mica-build/mica/build/solve"
)

// FuzzMemo shows again what a memo says that a build showed.
func FuzzMemo(f *testing.F) {
	f.Add([]byte(`{"Vertexes":[{"Digest":"sha256:x","Name":"exporting to image","ProgressGroup":{}}],"Warnings":[{"Short":"eA=="}],"Names":["a"]}`))
	f.Add([]byte(`{"Vertexes":[null],"Reads":[{"Copy":null}],"Warnings":[{}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, ok := decodeMemo(raw); ok {
			(&session{progress: solve.NewProgress(func(*client.SolveStatus) {})}).replay(m)
		}
	})
}
