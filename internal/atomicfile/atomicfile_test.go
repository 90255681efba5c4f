package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		o          Options
		want       os.FileMode
	}{
		{"new", "a", Options{}, 0o644},
		{"replace", "a", Options{Sync: true}, 0o644},
		{"new directory", "x/y/b", Options{Perm: 0o600}, 0o600},
		{"temporary elsewhere", "p/q/c", Options{TempDir: filepath.Join(base, "tmp")}, 0o644},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(base, tt.path)
			if err := Write(path, []byte(tt.name), tt.o); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.name, string(got)); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != tt.want {
				t.Errorf("mode %v, %v, want %v", st.Mode(), err, tt.want)
			}
			for _, dir := range []string{filepath.Dir(path), filepath.Join(base, "tmp")} {
				if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "dir")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("x"), Options{}); err == nil {
		t.Fatal("a directory was replaced by a file")
	}
	if left, _ := filepath.Glob(filepath.Join(base, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
