//go:build linux

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
)

// disk gives a filesystem of its own, mounted nowhere, and its descriptor.
func disk(t *testing.T, size string) (string, int) {
	t.Helper()
	testenv.Root(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs fsopen: %v", err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "size", size), unix.FsconfigCreate(fs)); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs fsmount: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d/store", fd), fd
}

func TestFullDisk(t *testing.T) {
	root, _ := disk(t, "400k")
	s := open(t, root)
	if err := s.Tag(t.Context(), "app", target(t, s, "small")); err != nil {
		t.Fatal(err)
	}
	before, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	big := image.NewDescriptor(image.MediaTypeLayer, make([]byte, 1<<20))
	err = s.Push(t.Context(), big, strings.NewReader(string(make([]byte, 1<<20))))
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("push: %v, want no space and what to do", err)
	}
	if ok, err := s.Exists(t.Context(), big); ok || err != nil {
		t.Errorf("exists after a failed push = %v, %v", ok, err)
	}
	after, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Blobs != before.Blobs || after.Other > before.Other+8192 {
		t.Errorf("usage %+v after a failed push, was %+v", after, before)
	}
	d, l := buildImage(t, s, "read me")
	if err := s.Tag(t.Context(), "full", d); err != nil {
		t.Fatal(err)
	}
	fillUp(t, s)
	reader := open(t, root)
	r, err := reader.Fetch(t.Context(), image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size})
	if err != nil {
		t.Fatalf("fetch a layer on a full disk: %v", err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("read a layer on a full disk: %v", err)
	}
	if got := names(t, s, nil); len(got) != 2 {
		t.Errorf("names %v after the disk was full, want two", got)
	}
}

// fillUp fills the disk to the last byte and tries to publish names.
func fillUp(t *testing.T, s *Store) {
	t.Helper()
	d, err := s.Resolve(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(s.path("ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for buf := make([]byte, 4096); err == nil; {
		_, err = f.Write(buf)
	}
	for i := 0; ; i++ {
		if err := s.Tag(t.Context(), "app", d); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Errorf("tag on a full disk: %v, want no space", err)
			}
			return
		}
		if i > 1000 {
			t.Fatal("the disk does not get full")
		}
	}
}

func TestReadOnlyDisk(t *testing.T) {
	root, fd := disk(t, "4m")
	s, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, l := buildImage(t, s, "x")
	if err := s.Tag(t.Context(), "app", d); err != nil {
		t.Fatal(err)
	}
	put(t, s, "ab", l.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		t.Skipf("needs mount_setattr: %v", err)
	}
	s = open(t, root)
	if err := readImage(t, s, d.Digest, "x"); err != nil {
		t.Errorf("read an image: %v", err)
	}
	if got, err := s.Resolve(t.Context(), "app"); err != nil || got.Digest != d.Digest {
		t.Errorf("resolve = %s, %v, want %s", got.Digest, err, d.Digest)
	}
	if _, err := s.Record(t.Context(), "ab"); err != nil {
		t.Errorf("record: %v", err)
	}
	if list, err := s.Check(t.Context(), CheckOptions{}); err != nil {
		t.Errorf("check: %v", err)
	} else {
		for _, p := range list {
			if !p.Leftover {
				t.Errorf("check: %+v", p)
			}
		}
	}
	for what, err := range map[string]error{
		"tag":       s.Tag(t.Context(), "other", d),
		"put state": s.PutState("x", nil),
	} {
		if !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "--root") {
			t.Errorf("%s: %v, want read-only and what to do", what, err)
		}
	}
}

// TestDurable runs what syncs.
func TestDurable(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, _ := buildImage(t, s, "x")
	if err := s.Tag(t.Context(), "app", d); err != nil {
		t.Fatal(err)
	}
	if err := readImage(t, s, d.Digest, "x"); err != nil {
		t.Error(err)
	}
}

func TestState(t *testing.T) {
	s := open(t, "")
	for _, text := range []string{"one", "two"} {
		if err := s.PutState("contexts/abc", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.State("contexts/abc"); err != nil || string(got) != text {
			t.Errorf("state = %q, %v, want %q", got, err, text)
		}
	}
	for _, name := range []string{"../x", "/etc/passwd", ""} {
		if _, err := s.State(name); err == nil {
			t.Errorf("state %q: no error", name)
		}
		if err := s.PutState(name, nil); err == nil {
			t.Errorf("put state %q: no error", name)
		}
	}
}
