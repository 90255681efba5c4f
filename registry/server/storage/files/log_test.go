package files

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines is a reader that keeps what it gets.
type lines []string

func (l *lines) reset() { *l = nil }
func (l *lines) apply(payload string) error {
	*l = append(*l, payload)
	return nil
}

func readLog(t *testing.T, path string) (lines, position) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var l lines
	var p position
	if err := p.read(f, &l); err != nil {
		t.Fatal(err)
	}
	return l, p
}

func writeLog(t *testing.T, path string, payloads ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range payloads {
		var l lines
		var p position
		if err := p.read(f, &l); err != nil {
			t.Fatal(err)
		}
		if err := p.write(f, []byte(s), true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTorn cuts a log at every byte: what was whole is there, and it can be written on.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.log")
	writeLog(t, whole, "one", "two", "three")
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(raw) {
		path := filepath.Join(dir, "torn.log")
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := readLog(t, path)
		writeLog(t, path, "four")
		after, p := readLog(t, path)
		if diff := cmp.Diff(append(before, "four"), after); diff != "" || len(before) > 2 {
			t.Errorf("cut at %d, %d before (-want +got):\n%s", n, len(before), diff)
		}
		if ok, err := p.current(path); !ok || err != nil {
			t.Errorf("cut at %d: current %v, %v", n, ok, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "torn.damaged")); err == nil {
		t.Error("the beginning of a record was taken for damage")
	}
}

// TestDamaged changes every byte of the middle record: what is behind it is kept.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.log")
	writeLog(t, whole, "one", "two", "three")
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	from := logHeader + recordHeader + len("one")
	path, aside := filepath.Join(dir, "bad.log"), filepath.Join(dir, "bad.damaged")
	for i := from + recordHeader; i < from+recordHeader+3; i++ {
		bad := append([]byte{}, raw...)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		writeLog(t, path, "four")
		got, _ := readLog(t, path)
		if diff := cmp.Diff(lines{"one", "four"}, got); diff != "" {
			t.Errorf("byte %d (-want +got):\n%s", i, diff)
		}
		kept, err := os.ReadFile(aside)
		if err != nil || string(kept) != string(bad[from:]) {
			t.Errorf("byte %d: kept %q, %v", i, kept, err)
		}
		os.Remove(aside)
	}
}

func FuzzLog(f *testing.F) {
	header := append([]byte(magic), make([]byte, 8)...)
	record, _ := appendRecord(nil, []byte("payload"))
	f.Add(append(append([]byte{}, header...), record...))
	f.Add(header)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "x.log")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var before, after lines
		var p position
		if p.read(file, &before) != nil {
			return
		}
		at := p
		if err := at.write(file, []byte("new"), false); err != nil {
			t.Fatal(err)
		}
		var q position
		if err := q.read(file, &after); err != nil || len(after) != len(before)+1 || after[len(before)] != "new" {
			t.Errorf("%d records, then %d, %v", len(before), len(after), err)
		}
	})
}
