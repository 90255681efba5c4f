package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestRatios(t *testing.T) {
	got := ratios([][]float64{{2, 2, 4}, {1}, nil})
	if diff := cmp.Diff([]float64{2, 1, 0}, got); diff != "" {
		t.Error(diff)
	}
}

func TestChoose(t *testing.T) {
	got, err := choose(workloads(), []string{"run10", "noop"})
	if err != nil || len(got) != 2 || got[0].name != "run10" {
		t.Errorf("choose: %v, %v", got, err)
	}
	if _, err := choose(workloads(), []string{"nap"}); err == nil {
		t.Error("an unknown workload: no error")
	}
}

func TestInputs(t *testing.T) {
	base := t.TempDir()
	if err := os.WriteFile(filepath.Join(base, "busybox"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads() {
		dir := filepath.Join(t.TempDir(), w.name)
		if err := w.prepare(dir, base, sizes{contextFiles: 201, treeFiles: 5, copyMiB: 1}); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
		if err != nil || !strings.HasPrefix(string(dockerfile), "FROM scratch AS base\n") {
			t.Errorf("%s: Dockerfile %q, %v", w.name, dockerfile, err)
		}
		for line := range strings.Lines(string(dockerfile)) { // what COPY names is there
			f := strings.Fields(line)
			if f[0] != "COPY" || strings.HasPrefix(f[1], "--") {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, f[1])); err != nil {
				t.Errorf("%s: %s: %v", w.name, strings.TrimSpace(line), err)
			}
		}
	}
}

func TestRunTakesTurns(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	fake := func(name string) tool {
		return tool{name: name, build: func(_, _ string, noCache bool) []string {
			if noCache {
				name += "!"
			}
			return []string{"sh", "-c", `echo "$0" >> "$1"`, name, log}
		}}
	}
	w := workload{name: "w", warm: true, edit: func(string, int) error {
		return os.WriteFile(log+".edited", nil, 0o600)
	}}
	times, err := w.run(context.Background(), t.TempDir(), []tool{fake("a"), fake("b")}, 2, func(tool, error) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != 2 || len(times[0]) != 2 || len(times[1]) != 2 {
		t.Errorf("times %v", times)
	}
	got, err := os.ReadFile(log)
	if err != nil || string(got) != "a\nb\na\nb\na\nb\n" {
		t.Errorf("ran %q, %v", got, err)
	}
	if _, err := os.Stat(log + ".edited"); err != nil {
		t.Error(err)
	}
}

// TestRunLeavesOut checks that a peer that fails does not stop the others, and mica does.
func TestRunLeavesOut(t *testing.T) {
	fake := func(name, command string) tool {
		return tool{name: name, build: func(string, string, bool) []string { return []string{"sh", "-c", command} }}
	}
	good, bad := fake("good", "true"), fake("bad", "echo trouble; false")
	var left []string
	failed := func(t tool, err error) { left = append(left, t.name+" "+err.Error()) }
	for _, w := range []workload{{name: "cold"}, {name: "warm", warm: true}} {
		left = nil
		got, err := w.run(t.Context(), t.TempDir(), []tool{good, bad, good}, 2, failed)
		if err != nil || len(got[0]) != 2 || len(got[1]) != 0 || len(got[2]) != 2 {
			t.Errorf("%s: %v, %v", w.name, got, err)
		}
		if len(left) != 1 || !strings.Contains(left[0], "trouble") {
			t.Errorf("%s: left out %q", w.name, left)
		}
		if got[0][0].peak <= 0 || got[0][0].seconds <= 0 {
			t.Errorf("%s: took %+v", w.name, got[0][0])
		}
		if _, err := w.run(t.Context(), t.TempDir(), []tool{bad, good}, 1, failed); err == nil {
			t.Errorf("%s: mica fails, and there is no error", w.name)
		}
	}
}
