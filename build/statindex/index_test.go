//go:build linux

package statindex

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
)

var _ fileop.Digester = (*Index)(nil)

// env asks an index about files of a directory and counts what it reads.
type env struct {
	t    *testing.T
	dir  string
	read int
}

func (e *env) write(name, data string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(data), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// ask wants the digest of what the file holds, after read more files were read.
func (e *env) ask(x *Index, name string, read int) {
	e.t.Helper()
	full := filepath.Join(e.dir, name)
	var st unix.Stat_t
	if err := unix.Lstat(full, &st); err != nil {
		e.t.Fatal(err)
	}
	before := e.read
	got, err := x.FileDigest(name, &st, func() (*os.File, error) { e.read++; return os.Open(full) })
	if err != nil {
		e.t.Fatal(err)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		e.t.Fatal(err)
	}
	if want := digest.FromBytes(data); got != want {
		e.t.Errorf("%s: digest %s, want %s", name, got, want)
	}
	if n := e.read - before; n != read {
		e.t.Errorf("%s: read %d times, want %d", name, n, read)
	}
}

func openIndex(t testing.TB, b []byte) *Index {
	t.Helper()
	x, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// later makes an index believe that a second went by, so that no file is racy.
func later(x *Index) *Index {
	x.now = func() time.Time { return time.Now().Add(time.Second) }
	return x
}

func TestRemembers(t *testing.T) {
	e := &env{t: t, dir: t.TempDir()}
	e.write("a", "A")
	e.write("b", "")
	x := later(openIndex(t, nil))
	if x.Dirty() {
		t.Error("a new index is dirty")
	}
	e.ask(x, "a", 1)
	e.ask(x, "b", 1)
	e.ask(x, "a", 0)
	if !x.Dirty() {
		t.Error("not dirty after hashing")
	}
	x = later(openIndex(t, x.Marshal()))
	e.ask(x, "a", 0)
	e.ask(x, "b", 0)
	if x.Dirty() {
		t.Error("dirty although nothing changed")
	}
	e.write("c", "C")
	e.ask(x, "c", 1)
	x = openIndex(t, x.Marshal())
	for _, name := range []string{"a", "b", "c"} {
		e.ask(x, name, 0)
	}
}

// Whatever changes about a file, its bytes are read again.
func TestNotices(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(name string) error
	}{
		{"content of the same size, with the old mtime", func(name string) error {
			fi, err := os.Stat(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte("B"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(name, fi.ModTime(), fi.ModTime())
		}},
		{"another file in its place, with the old mtime", func(name string) error {
			fi, err := os.Stat(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(name+".new", []byte("B"), 0o644); err != nil {
				return err
			}
			if err := os.Chtimes(name+".new", fi.ModTime(), fi.ModTime()); err != nil {
				return err
			}
			return os.Rename(name+".new", name)
		}},
		{"mode", func(name string) error { return os.Chmod(name, 0o600) }},
		{"size", func(name string) error { return os.Truncate(name, 10) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{t: t, dir: t.TempDir()}
			e.write("a", "A")
			time.Sleep(20 * time.Millisecond) // so that ctime moves
			x := later(openIndex(t, nil))
			e.ask(x, "a", 1)
			x = later(openIndex(t, x.Marshal()))
			if err := c.change(filepath.Join(e.dir, "a")); err != nil {
				t.Fatal(err)
			}
			e.ask(x, "a", 1)
			e.ask(x, "a", 0)
			e.ask(openIndex(t, x.Marshal()), "a", 0)
		})
	}
}

// A file that was written within the clock's tick is not trusted.
func TestRacy(t *testing.T) {
	e := &env{t: t, dir: t.TempDir()}
	e.write("a", "A")
	x := openIndex(t, nil)
	x.now = func() time.Time { // the moment of the write, whatever the clocks do
		fi, err := os.Stat(filepath.Join(e.dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		return fi.ModTime()
	}
	e.ask(x, "a", 1)
	e.ask(x, "a", 1)
	if x.Dirty() {
		t.Error("a racy file was remembered")
	}
	x.now = func() time.Time { return time.Now().Add(-time.Hour) } // written in the future
	e.ask(x, "a", 1)
	e.ask(x, "a", 1)
	e.ask(later(x), "a", 1)
	e.ask(x, "a", 0)
}

func TestSettled(t *testing.T) {
	at := func(s, ns int64) unix.Timespec { return unix.Timespec{Sec: s, Nsec: ns} }
	for _, c := range []struct {
		name         string
		mtime, ctime unix.Timespec
		began        time.Time
		want         bool
	}{
		{"long ago", at(100, 5), at(100, 5), time.Unix(101, 0), true},
		{"just now", at(100, 5), at(100, 5), time.Unix(100, 6), false},
		{"ctime just now", at(1, 5), at(100, 5), time.Unix(100, 6), false},
		{"mtime to come", at(200, 5), at(1, 5), time.Unix(100, 6), false},
		{"whole seconds, soon after", at(100, 0), at(100, 0), time.Unix(101, 0), false},
		{"whole seconds, later", at(100, 0), at(100, 0), time.Unix(103, 0), true},
	} {
		if got := settled(&unix.Stat_t{Mtim: c.mtime, Ctim: c.ctime}, c.began); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A file that changes while it is read is not remembered.
func TestChangesWhileRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("A"), 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	x := later(openIndex(t, nil))
	_, err := x.FileDigest("a", &st, func() (*os.File, error) {
		if err := os.WriteFile(name, []byte("BB"), 0o644); err != nil {
			t.Fatal(err)
		}
		return os.Open(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if x.Dirty() {
		t.Error("remembered")
	}
}

func TestForgets(t *testing.T) {
	e := &env{t: t, dir: t.TempDir()}
	e.write("a", "A")
	e.write("b", "B")
	x := later(openIndex(t, nil))
	e.ask(x, "a", 1)
	e.ask(x, "b", 1)
	for range maxAge {
		x = later(openIndex(t, x.Marshal()))
		e.ask(x, "a", 0)
	}
	e.ask(openIndex(t, x.Marshal()), "b", 0)
	x = openIndex(t, x.Marshal())
	x = later(openIndex(t, x.Marshal()))
	e.ask(x, "a", 0)
	e.ask(x, "b", 1)
}

func TestOpenFails(t *testing.T) {
	x := openIndex(t, nil)
	cause := errors.New("cause")
	if _, err := x.FileDigest("a", &unix.Stat_t{}, func() (*os.File, error) { return nil, cause }); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}

// Damage anywhere empties the index.
func TestDamaged(t *testing.T) {
	e := &env{t: t, dir: t.TempDir()}
	e.write("a", "A")
	x := later(openIndex(t, nil))
	e.ask(x, "a", 1)
	good := x.Marshal()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if x := openIndex(t, bad); x.old.len() != 0 || !x.Dirty() {
			t.Fatalf("byte %d flipped: %d records, dirty %v", i, x.old.len(), x.Dirty())
		}
		if x := openIndex(t, good[:i]); x.old.len() != 0 {
			t.Fatalf("cut at %d: %d records", i, x.old.len())
		}
	}
	e.ask(later(openIndex(t, []byte("junk"))), "a", 1)
}

func TestConcurrent(t *testing.T) {
	e := &env{t: t, dir: t.TempDir()}
	for i := range 50 {
		e.write(fmt.Sprint(i), fmt.Sprint(i))
	}
	x := later(openIndex(t, nil))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 50 {
				name := fmt.Sprint(i)
				var st unix.Stat_t
				if err := unix.Lstat(filepath.Join(e.dir, name), &st); err != nil {
					t.Error(err)
					return
				}
				got, err := x.FileDigest(name, &st, func() (*os.File, error) { return os.Open(filepath.Join(e.dir, name)) })
				if err != nil || got != digest.FromString(name) {
					t.Errorf("%s: %s, %v", name, got, err)
				}
				x.Dirty()
			}
			x.Marshal()
		})
	}
	wait.Wait()
	x = openIndex(t, x.Marshal())
	if x.old.len() != 50 {
		t.Errorf("%d records", x.old.len())
	}
}

// The bytes depend on what is in the index only.
func TestMarshalOrder(t *testing.T) {
	records := []named{{"a", record{age: 1}}, {"b", record{age: 2}}, {"c/d", record{}}}
	one := encode(records)
	two := encode([]named{records[2], records[0], records[1]})
	if !bytes.Equal(one, two) {
		t.Error("bytes depend on the order")
	}
}

func manyRecords(n int) []named {
	all := make([]named, n)
	for i := range all {
		all[i] = named{fmt.Sprintf("some/directory%03d/and/a/file%06d.go", i/100, i), record{identity: identity{size: int64(i), ino: uint64(i)}}}
	}
	return all
}

func BenchmarkOpen(b *testing.B) {
	data := encode(manyRecords(100000))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if x := openIndex(b, data); x.old.len() != 100000 {
			b.Fatal("not read")
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	all := manyRecords(100000)
	x := openIndex(b, encode(all))
	for i := 0; b.Loop(); i++ {
		n := &all[i*7919%len(all)]
		if _, ok := x.lookup(n.path, &n.identity); !ok {
			b.Fatal("not found")
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add(encode(nil))
	f.Add(encode(manyRecords(3)))
	f.Add([]byte(magic + "\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headSize { // get past the checksum
			copy(b, magic)
			binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[headSize:], crcTable))
		}
		x := openIndex(t, b)
		for i := range x.old.len() {
			path := x.old.path(i)
			r := x.old.record(i)
			x.lookup(path, &r.identity)
		}
		again := openIndex(t, x.Marshal())
		if n := again.old.len(); n > x.old.len() {
			t.Errorf("%d records from %d", n, x.old.len())
		}
	})
}
