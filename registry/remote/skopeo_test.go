package remote_test

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// TestSkopeo has another client pull from and push to our registry what ours
// pushed and pulls.
func TestSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo")
	}
	ctx := context.Background()
	reg := serve(t, server.Options{})
	l, err := layout.Create(t.TempDir() + "/layout")
	if err != nil {
		t.Fatal(err)
	}
	d := contenttest.Push(t, l, "a", "b")
	if err := l.Tag(ctx, "v1", d); err != nil {
		t.Fatal(err)
	}
	r := repo(t, reg.host, quick())
	if _, err := content.CopyName(ctx, r, "v1", l, "v1", content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"docker://" + reg.host + "/test:v1", "docker://" + reg.host + "/copied:v1"},
		{"oci:" + l.Dir() + ":v1", "docker://" + reg.host + "/fromlayout:v1"},
	} {
		args = append([]string{"--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"}, args...)
		cmd := exec.Command(skopeo, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("skopeo %q: %v\n%s", args, err, out)
		}
	}
	for _, name := range []string{"/copied:v1", "/fromlayout:v1"} {
		got, err := named(t, reg.host+name, remote.New(quick())).Resolve(ctx, "v1")
		if err != nil || got.Digest != d.Digest {
			t.Errorf("%s = %s, %v; want %s", name, got.Digest, err, d.Digest)
		}
	}
}
