//go:build linux

package history

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mica-build/mica/build/fileop"
)

func FuzzDecodeBuild(f *testing.F) {
	f.Add([]byte(`{"ID":"20260102-030405-abcdef","Same":"x"}`))
	f.Add([]byte(`{"Args":{"A":"b"},"Sizes":{"x":-1}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decodeBuild(raw)
		if err == nil && b.Same != "" && !b.Same.valid() {
			t.Errorf("same as %q", b.Same)
		}
	})
}

// FuzzWhy compares steps as two damaged records give them.
func FuzzWhy(f *testing.F) {
	step := `{"n":1,"vertex":"a","name":"[base 1/2] RUN x","kind":"exec","State":"ran","line":3,"text":"RUN x","key":"k1","inputs":["a","b"],` +
		`"definition":{"op":{"Args":["x"],"Env":["A=1"],"Mounts":[{"Dest":"/"},null]},"inputs":[{"key":"k","content":"c","name":"n"},{}]},"reads":[{"input":0,"listing":"../x"}]}`
	file := `{"n":2,"vertex":"b","name":"[base 2/2] COPY . .","kind":"file","State":"ran","key":"k2","inputs":["b"],"definition":{"op":1,"inputs":[{"key":"q"}]}}`
	f.Add([]byte(step+"\n"+file+"\n"), []byte(file+"\n"+step+"\n{\"n\":3"))
	f.Add([]byte(`{"n":1,"vertex":"m","kind":"merge","State":"ran","key":"k","inputs":["m","m"]}`), []byte(`{"n":1,"vertex":"m","kind":"merge","State":"ran","key":"l","inputs":["m"]}`))
	f.Add([]byte(`{"n":1,"kind":"image","State":"source","source":"docker-image://a@b","key":"k"}`), []byte("null\n{}"))
	f.Fuzz(func(t *testing.T, now, before []byte) {
		if len(now)+len(before) > 8<<10 {
			return // the match is quadratic
		}
		c := &comparison{h: &History{dir: t.TempDir()}, b: &Build{}, steps: decodeSteps(now), known: map[*Step]*Explanation{}}
		c.by = byVertex(c.steps)
		p := &past{Build: &Build{State: Done}, steps: decodeSteps(before)}
		p.by, p.matching = byVertex(p.steps), match(c.steps, p.steps)
		c.earlier = []*past{p}
		for _, s := range c.steps {
			if x := c.explain(s); x.Step != s {
				t.Errorf("explains %v instead of %v", x.Step, s)
			}
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add(encodeListing([]fileop.Entry{{Path: "a b", Mode: 0o100644, Size: 3, Digest: "sha256:x", Caps: []byte{1}}, {Path: "l", Link: "\n\"", Mode: 0o120777}}))
	f.Add([]byte(listingHead + "7 1 2 3 4 - - \"\" \"\""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := decodeListing(raw)
		if err != nil {
			return
		}
		var all []fileop.Entry
		for _, e := range l {
			all = append(all, e)
		}
		again, err := decodeListing(encodeListing(all))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("encoded and decoded (-before +after):\n%s", diff)
		}
	})
}
