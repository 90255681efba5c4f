package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/build"
)

// attrs makes a map of "key=value" words.
func attrs(words ...string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		m[key] = value
	}
	return m
}

func TestParseOutput(t *testing.T) {
	tests := []struct {
		in      string
		want    build.Output
		wantErr string
	}{
		{in: "out", want: build.Output{Type: "local", Dest: "out", Attrs: attrs()}},
		{in: "./a=b", want: build.Output{Type: "local", Dest: "./a=b", Attrs: attrs()}},
		{in: "-", want: build.Output{Type: "tar", Dest: "-", Attrs: attrs()}},
		{in: "type=local,dest=out,platform-split=false", want: build.Output{Type: "local", Dest: "out", Attrs: attrs("platform-split=false")}},
		{in: "dest=out,type=local", want: build.Output{Type: "local", Dest: "out", Attrs: attrs()}},
		{in: "type=tar,dest=a.tar", want: build.Output{Type: "tar", Dest: "a.tar", Attrs: attrs()}},
		{in: "type=tar", want: build.Output{Type: "tar", Dest: "-", Attrs: attrs()}},
		{in: `type=image,"name=a,b",push=true`, want: build.Output{Type: "image", Attrs: attrs("name=a,b", "push=true")}},
		{in: "type=registry,name=host/app", want: build.Output{Type: "image", Attrs: attrs("name=host/app", "push=true")}},
		{in: "type=oci,dest=-,tar=false", want: build.Output{Type: "oci", Dest: "-", Attrs: attrs("tar=false")}},
		{in: "type=docker", want: build.Output{Type: "image", Attrs: attrs()}},
		{in: "type=docker,dest=a.tar", want: build.Output{Type: "docker", Dest: "a.tar", Attrs: attrs()}},
		{in: "type=cacheonly", want: build.Output{Type: "cacheonly", Attrs: attrs()}},
		{in: "type=image,annotation.a=b=c", want: build.Output{Type: "image", Attrs: attrs("annotation.a=b=c")}},

		{in: "", wantErr: "invalid"},
		{in: "dest=out,mode=copy", wantErr: "type is missing"},
		{in: "type=local", wantErr: "needs a directory"},
		{in: "type=local,dest=-", wantErr: "needs a directory"},
		{in: "type=local,dest=out,mode=move", wantErr: "copy or delete"},
		{in: "type=zip", wantErr: `type "zip"`},
		{in: "type=image,dest=x", wantErr: "writes no file"},
		{in: "type=image,push=perhaps", wantErr: "push=perhaps"},
		{in: "type=image,name", wantErr: `"name" is not key=value`},
		{in: "type=docker,context=remote", wantErr: "connects to no daemon"},
		{in: `type=tar,"dest=x`, wantErr: "invalid"},
		{in: "type=tar\ntype=oci", wantErr: "more than one line"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseOutput(tt.in)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr != "" {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkErr wants an error that contains want, or none if want is "".
func checkErr(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatal(err)
	case want != "" && err == nil:
		t.Fatalf("no error, want one with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Fatalf("error %q, want one with %q", err, want)
	}
}

func TestParseOutputs(t *testing.T) {
	image := build.Output{Type: "image", Attrs: attrs()}
	pushed := build.Output{Type: "image", Attrs: attrs("push=true")}
	local := build.Output{Type: "local", Dest: "out", Attrs: attrs()}
	tests := []struct {
		name     string
		o        buildOptions
		terminal bool
		want     []build.Output
		wantErr  string
	}{
		{name: "none"},
		{name: "load", o: buildOptions{load: true}, want: []build.Output{image}},
		{name: "push", o: buildOptions{push: true, tags: []string{"h/app"}}, want: []build.Output{pushed}},
		{name: "push turns an image output into one that pushes", o: buildOptions{push: true, outputs: []string{"type=image,name=h/app"}}, want: []build.Output{{Type: "image", Attrs: attrs("name=h/app", "push=true")}}},
		{name: "push beside local", o: buildOptions{push: true, tags: []string{"h/app"}, outputs: []string{"out"}}, want: []build.Output{local, pushed}},
		{name: "load beside local", o: buildOptions{load: true, outputs: []string{"out"}}, want: []build.Output{local, image}},
		{name: "load once", o: buildOptions{load: true, outputs: []string{"type=docker"}}, want: []build.Output{image}},
		{name: "push without a name", o: buildOptions{push: true}, wantErr: "no name"},
		{name: "registry without a name", o: buildOptions{outputs: []string{"type=registry"}}, wantErr: "no name"},
		{name: "stdout", o: buildOptions{outputs: []string{"-"}}, want: []build.Output{{Type: "tar", Dest: "-", Attrs: attrs()}}},
		{name: "terminal", o: buildOptions{outputs: []string{"-"}}, terminal: true, wantErr: "terminal"},
		{name: "terminal and a file", o: buildOptions{outputs: []string{"type=tar,dest=x"}}, terminal: true, want: []build.Output{{Type: "tar", Dest: "x", Attrs: attrs()}}},
		{name: "twice to stdout", o: buildOptions{outputs: []string{"-", "type=oci"}}, wantErr: "only one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.o.parseOutputs(tt.terminal)
			checkErr(t, err, tt.wantErr)
			if tt.wantErr != "" {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeleteNeedsLeave(t *testing.T) {
	wd := t.TempDir()
	t.Chdir(wd)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(wd, "link")); err != nil {
		t.Fatal(err)
	}
	for dest, inside := range map[string]bool{
		"sub": true, "./sub/deep": true, filepath.Join(wd, "sub"): true,
		".": false, "..": false, "../x": false, "sub/../..": false, outside: false, wd: false, "link": false,
	} {
		o := buildOptions{outputs: []string{"type=local,mode=delete,dest=" + dest}}
		if _, err := o.parseOutputs(false); (err == nil) != inside {
			t.Errorf("delete in %s: error %v, inside %v", dest, err, inside)
		}
		o.allow = []string{"network.host,buildx.local.delete"}
		if _, err := o.parseOutputs(false); err != nil {
			t.Errorf("delete in %s with leave: %v", dest, err)
		}
	}
}

func FuzzParseOutput(f *testing.F) {
	for _, s := range []string{"out", "-", "type=local,dest=x", `type=image,"name=a,b",push=true`, "type=docker,context=", `"`, "=", "type=oci,dest=,=,"} {
		f.Add(s)
	}
	known := map[string]bool{"image": true, "local": true, "tar": true, "oci": true, "docker": true, "cacheonly": true}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseOutput(s)
		if err != nil {
			return
		}
		if !known[o.Type] || o.Attrs == nil {
			t.Errorf("parseOutput(%q) = %+v", s, o)
		}
		if writes := o.Type != "image" && o.Type != "cacheonly"; writes != (o.Dest != "") {
			t.Errorf("parseOutput(%q): type %s goes to %q", s, o.Type, o.Dest)
		}
	})
}
