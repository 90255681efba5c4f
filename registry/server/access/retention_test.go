package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/access"
	"github.com/mica-build/mica/registry/server/storage"
)

// day is when tags were pushed: so many days ago.
func ago(now time.Time, days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }

// fill gives a repository tags "name:pushed[:pulled]", in days ago.
func fill(t *testing.T, s *storage.Storage, now time.Time, repo string, tags ...[3]any) {
	t.Helper()
	must(t, s.Index.Update(t.Context(), repo, func(tx storage.Tx) error {
		for _, tag := range tags {
			d := digest.FromString(tag[0].(string))
			tx.PutManifest(storage.Manifest{Digest: d, MediaType: "application/vnd.oci.image.index.v1+json", Size: 1, Pushed: now})
			tx.PutTag(storage.Tag{Name: tag[0].(string), Digest: d, Pushed: ago(now, tag[1].(int))})
		}
		return nil
	}))
	for _, tag := range tags {
		if days := tag[2].(int); days >= 0 {
			s.Index.Pulled(repo, tag[0].(string), digest.FromString(tag[0].(string)), ago(now, days))
		}
	}
}

func TestRetain(t *testing.T) {
	now := time.Now().UTC()
	tags := [][3]any{{"v1", 100, -1}, {"v2", 50, 1}, {"v3", 10, -1}, {"latest", 10, 0}, {"tmp-a", 40, -1}, {"tmp-b", 3, -1}}
	for _, tt := range []struct{ name, config, want string }{
		{"nothing", "", ""},
		{"the last two", "[[retention]]\nrepositories=['**']\n[[retention.keep]]\nlast=2\n", "tmp-a v1 v2 latest"},
		{"by age", "[[retention]]\nrepositories=['app']\n[[retention.keep]]\npushed-within='30d'\n", "tmp-a v1 v2"},
		{"pulled lately, or pushed", "[[retention]]\nrepositories=['app']\n[[retention.keep]]\npulled-within='720h'\n", "tmp-a v1"},
		{"either", "[[retention]]\nrepositories=['app']\n[[retention.keep]]\ntags=['latest']\n[[retention.keep]]\ntags=['v*']\nlast=2\n", "tmp-a tmp-b v1"},
		{"both", "[[retention]]\nrepositories=['app']\n[[retention.keep]]\ntags=['v*']\npushed-within='60d'\n", "latest tmp-a tmp-b v1"},
		{"about some tags", "[[retention]]\nrepositories=['app']\ntags=['tmp-*']\n[[retention.keep]]\nlast=1\n", "tmp-a"},
		{"the first rule counts", "[[retention]]\nrepositories=['app']\ntags=['v*']\n[[retention.keep]]\nlast=9\n[[retention]]\nrepositories=['**']\n[[retention.keep]]\nlast=1\n", "tmp-a latest"},
		{"other repositories", "[[retention]]\nrepositories=['other']\n[[retention.keep]]\nlast=1\n", ""},
		{"immutable", "immutable-tags=['**:v*']\n[[retention]]\nrepositories=['**']\n[[retention.keep]]\nlast=1\n", "latest tmp-a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := access.ParseConfig("r.toml", []byte(tt.config))
			must(t, err)
			s := server.NewMemory()
			fill(t, s, now, "app", tags...)
			want := strings.Fields(tt.want)
			slices.Sort(want)
			for _, dry := range []bool{true, false} {
				gone, err := c.Retain(t.Context(), s, now, dry)
				must(t, err)
				got := []string{}
				for _, g := range gone {
					got = append(got, g.Name)
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("dry %v: %s", dry, diff)
				}
			}
			left, err := s.Index.Tags(t.Context(), "app", storage.Page{})
			must(t, err)
			if len(left)+len(want) != len(tags) {
				t.Errorf("%d tags are left", len(left))
			}
		})
	}
}

func TestBadRetention(t *testing.T) {
	for _, text := range []string{
		"[[retention]]\nrepositories=['a']\n",
		"[[retention]]\n[[retention.keep]]\nlast=1\n",
		"[[retention]]\nrepositories=['a']\n[[retention.keep]]\n",
		"[[retention]]\nrepositories=['a']\n[[retention.keep]]\npushed-within='-1h'\n",
		"[[retention]]\nrepositories=['a']\n[[retention.keep]]\npushed-within='soon'\n",
	} {
		if _, err := access.ParseConfig("r.toml", []byte(text)); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
