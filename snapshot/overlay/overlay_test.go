//go:build linux

package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/snapshot/snapshottest"
)

func TestConformance(t *testing.T) {
	testenv.Overlay(t)
	snapshottest.Run(t, func(testing.TB) snapshot.Mounter { return New() })
}

func TestTooManyLayers(t *testing.T) {
	r := snapshot.Request{}
	for i := range MaxLayers + 1 {
		r.Lower = append(r.Lower, fmt.Sprint("/layer/", i))
	}
	if _, err := New().Mount(t.Context(), r); !errors.Is(err, errs.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}

func TestDistinct(t *testing.T) {
	tests := []struct {
		name     string
		in, want []string
	}{
		{"none", []string{}, []string{}},
		{"all different", []string{"a", "b"}, []string{"a", "b"}},
		{"keeps the topmost", []string{"a", "b", "a", "c", "b"}, []string{"a", "c", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, distinct(tt.in)); diff != "" {
				t.Errorf("distinct (-want +got):\n%s", diff)
			}
		})
	}
}

// layers makes n lower directories, bottom first: each has a file of its own and
// the file "top" that all write.
func layers(t *testing.T, n int) []string {
	t.Helper()
	base := filepath.Join(t.TempDir(), strings.Repeat("long-name-", 20))
	var dirs []string
	for i := range n {
		d := filepath.Join(base, fmt.Sprint(i))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{fmt.Sprint("own", i), "top"} {
			if err := os.WriteFile(filepath.Join(d, name), fmt.Append(nil, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dirs = append(dirs, d)
	}
	return dirs
}

// TestMountWays checks both ways of mounting against each other.
func TestMountWays(t *testing.T) {
	testenv.Overlay(t)
	const n = 120
	s := stack{lower: layers(t, n), volatile: true, userxattr: !initialUserNamespace()}
	for _, way := range []struct {
		name  string
		mount func(*stack) (*os.File, error)
	}{
		{"fsconfig", (*stack).mount},
		{"mount(2)", (*stack).mountOld},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := s
			if way.name == "fsconfig" {
				s.upper = t.TempDir()
				s.work = filepath.Join(filepath.Dir(s.upper), "work")
				if err := os.Mkdir(s.work, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			f, err := way.mount(&s)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			root := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
			entries, err := os.ReadDir(root + "/.")
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != n+1 {
				t.Errorf("the tree has %d entries, want %d", len(entries), n+1)
			}
			if got, err := os.ReadFile(root + "/top"); err != nil || string(got) != fmt.Sprint(n-1) {
				t.Errorf("top = %q, %v, want %d", got, err, n-1)
			}
			err = os.WriteFile(root+"/new", []byte("x"), 0o644)
			if (err == nil) != (s.upper != "") {
				t.Errorf("write with upper %q: %v", s.upper, err)
			}
		})
	}
}

// TestNothingMounted checks that a mount shows in no mount table.
func TestNothingMounted(t *testing.T) {
	testenv.Overlay(t)
	s := stack{lower: layers(t, 2), userxattr: !initialUserNamespace()}
	for _, mount := range []func() (*os.File, error){s.mount, s.mountOld} {
		before, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		f, err := mount()
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile("/proc/self/mountinfo")
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(before), string(after)); diff != "" {
			t.Errorf("mount table changed (-before +after):\n%s", diff)
		}
	}
}

func TestSupported(t *testing.T) {
	testenv.Overlay(t)
	if err := Supported(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := Supported(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func BenchmarkMount(b *testing.B) {
	testenv.Overlay(b)
	base := b.TempDir()
	s := stack{upper: base + "/u", work: base + "/w"}
	for i := range 20 {
		s.lower = append(s.lower, fmt.Sprint(base, "/", i))
	}
	for _, d := range append(s.lower, s.upper, s.work) {
		if err := unix.Mkdir(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		f, err := s.mount()
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
