package mirror_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/transfer/mirror"
)

// A memory is a Memory in memory.
type memory struct {
	mu  sync.Mutex
	all map[string]mirror.Copied
}

func (m *memory) Recall(name string) (mirror.Copied, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.all[name]
	return c, ok
}

func (m *memory) Remember(name string, c mirror.Copied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[name] = c
}

// runSync does a plan and gives the outcomes, sorted, as "tag action".
func runSync(t *testing.T, plan string, o mirror.SyncOptions) ([]string, error) {
	t.Helper()
	p, err := mirror.ParsePlan("sync.toml", []byte(plan))
	must(t, err)
	var mu sync.Mutex
	var out []string
	o.Done = func(got mirror.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		out = append(out, got.To[strings.LastIndex(got.To, "/")+1:]+" "+got.Action)
	}
	err = mirror.Sync(t.Context(), places(), p, o)
	slices.Sort(out)
	return out, err
}

func TestSync(t *testing.T) {
	from, to := serve(t, false), serve(t, false)
	src := repository(t, from.host+"/x")
	for _, tag := range []string{"1.0", "1.1", "2.0", "latest"} {
		makeFixture(t, src, tag)
	}
	old := repository(t, to.host+"/m/x")
	must(t, old.Tag(t.Context(), "1.9", pushImage(t, old, "amd64", "old")))
	must(t, old.Tag(t.Context(), "own", pushImage(t, old, "amd64", "own")))
	plan := fmt.Sprintf(`
[[sync]]
from = "%s/x"
to = "%s/m/x"
tags = ["1.*", "latest"]
except = ["1.1"]
delete = true
`, from.host, to.host)
	m := &memory{all: map[string]mirror.Copied{}}

	got, err := runSync(t, plan, mirror.SyncOptions{Memory: m, DryRun: true})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1.0 copy", "x:1.9 delete", "x:latest copy"}, got); diff != "" {
		t.Fatal("dry run:", diff)
	}
	got, err = runSync(t, plan, mirror.SyncOptions{Memory: m})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1.0 copied", "x:1.9 deleted", "x:latest copied"}, got); diff != "" {
		t.Fatal("first:", diff)
	}
	tags, err := repository(t, to.host+"/m/x").Tags(t.Context())
	must(t, err)
	tags = slices.DeleteFunc(tags, mirror.DigestTag)
	if diff := cmp.Diff([]string{"1.0", "latest", "own"}, tags); diff != "" {
		t.Fatal("tags:", diff)
	}
	// A moved tag is copied, the others are not.
	makeFixture(t, src, "latest")
	must(t, src.Tag(t.Context(), "latest", pushImage(t, src, "amd64", "newer")))
	got, err = runSync(t, plan, mirror.SyncOptions{Memory: m})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1.0 unchanged", "x:latest copied"}, got); diff != "" {
		t.Fatal("second:", diff)
	}
}

// TestSyncRequests counts what a run costs in which nothing changed.
func TestSyncRequests(t *testing.T) {
	from, to := serve(t, false), serve(t, false)
	for _, tag := range []string{"1", "2", "3"} {
		makeFixture(t, repository(t, from.host+"/x"), tag)
	}
	plan := fmt.Sprintf("[[sync]]\nfrom = %q\nto = %q\ntags = [\"1\", \"2\", \"3\"]\n", from.host+"/x", to.host+"/x")
	m := &memory{all: map[string]mirror.Copied{}}
	_, err := runSync(t, plan, mirror.SyncOptions{Memory: m})
	must(t, err)
	from.requests()
	to.requests()
	got, err := runSync(t, plan, mirror.SyncOptions{Memory: m})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1 unchanged", "x:2 unchanged", "x:3 unchanged"}, got); diff != "" {
		t.Fatal(diff)
	}
	if log := append(from.requests(), to.requests()...); len(log) > 3 {
		t.Errorf("%d requests for 3 tags: %v", len(log), log)
	}
	// Without a memory the destination is asked, and still nothing is copied.
	got, err = runSync(t, plan, mirror.SyncOptions{})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1 unchanged", "x:2 unchanged", "x:3 unchanged"}, got); diff != "" {
		t.Fatal(diff)
	}
	for _, line := range append(from.requests(), to.requests()...) {
		if !strings.HasPrefix(line, "HEAD ") {
			t.Errorf("without a memory: %s", line)
		}
	}
	// A memory that is too old is not believed: somebody deleted the copy.
	must(t, repository(t, to.host+"/x").Delete(t.Context(), "2"))
	for name, c := range m.all {
		c.At = c.At.Add(-25 * time.Hour)
		m.all[name] = c
	}
	got, err = runSync(t, plan, mirror.SyncOptions{Memory: m})
	must(t, err)
	if diff := cmp.Diff([]string{"x:1 unchanged", "x:2 copied", "x:3 unchanged"}, got); diff != "" {
		t.Fatal(diff)
	}
}

// TestSyncFailures checks that one tag that fails does not stop the others.
func TestSyncFailures(t *testing.T) {
	from, to := serve(t, false), serve(t, false)
	makeFixture(t, repository(t, from.host+"/x"), "1")
	plan := fmt.Sprintf(`
[[sync]]
from = "%[1]s/none"
to = "%[2]s/n"
[[sync]]
from = "%[1]s/x"
to = "%[2]s/x"
tags = ["none", "1"]
[[sync]]
from = "%[1]s/x"
to = "oci:%[3]s"
platforms = ["linux/arm64"]
`, from.host, to.host, t.TempDir()+"/layout")
	got, err := runSync(t, plan, mirror.SyncOptions{})
	if err == nil || err.Error() != "sync: 2 of 4 failed" {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"n failed", "x:1 copied", "x:1 copied", "x:none failed"}, got); diff != "" {
		t.Error(diff)
	}
}
