package source

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// FuzzHTTPRecord reads a record of the cache, as a disk may give it back.
func FuzzHTTPRecord(f *testing.F) {
	body := digest.FromString("body")
	f.Add([]byte(`{"URL":"http://x","ETag":"\"a\"","Length":4,"Digest":"` + body.String() + `","Size":4}`))
	f.Add([]byte(`{"Digest":"sha256:../../x"}`))
	f.Add([]byte("null"))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, body.Encoded()), []byte("body"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := httpEntry{dir: dir, body: dir, id: "id"}
		if err := os.WriteFile(e.recordPath(), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if rec := e.load(); rec != nil && (rec.Size != 4 || filepath.Dir(e.bodyPath(rec.Digest)) != dir) {
			t.Errorf("gave %+v", rec)
		}
	})
}

func FuzzHTTPAttrs(f *testing.F) {
	for _, v := range []string{"0644", "-1", "4294967295", "sha256:x", "a\r\nb", ""} {
		f.Add(v, "Accept", v)
	}
	f.Fuzz(func(t *testing.T, number, name, value string) {
		attrs := map[string]string{pb.AttrHTTPHeaderPrefix + name: value}
		all := maps.Clone(attrs)
		all[pb.AttrHTTPPerm], all[pb.AttrHTTPUID], all[pb.AttrHTTPFilename] = number, number, value
		if a, err := parseHTTPAttrs(all); err == nil && (a.perm > 0o7777 || a.uid < 0 || int64(a.uid) > maxID) {
			t.Errorf("gave %+v", a)
		}
		_, _ = parseHTTPAttrs(map[string]string{pb.AttrHTTPChecksum: value})
	})
}

// FuzzAdvertisement reads what a git server says it has.
func FuzzAdvertisement(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add("ref: refs/heads/main\tHEAD\n"+id+"\tHEAD\n"+id+"\trefs/heads/main\n"+id+"\trefs/tags/v1^{}\n", "main")
	f.Add("ref: --upload-pack=x\tHEAD\n"+id+"\tHEAD", "HEAD")
	f.Add("\t\t\n", "")
	f.Fuzz(func(t *testing.T, said, name string) {
		ad := parseAdvertisement(said)
		for _, find := range []func() (*GitResult, error){ad.head, func() (*GitResult, error) { return ad.find(name) }} {
			res, err := find()
			if err != nil {
				continue
			}
			for _, s := range []string{res.Commit, res.Object} {
				if strings.Trim(s, "0123456789abcdef") != "" || len(s) < 40 {
					t.Errorf("gave object %q", s)
				}
			}
			if strings.HasPrefix(res.Ref, "-") {
				t.Errorf("gave ref %q", res.Ref)
			}
		}
	})
}
