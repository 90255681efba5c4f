//go:build linux

package fileop

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// mountOverlay gives a detached overlay mount of lower and upper.
func mountOverlay(t *testing.T, lower, upper string) *os.File {
	t.Helper()
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	for key, value := range map[string]string{"lowerdir": lower, "upperdir": upper, "workdir": t.TempDir()} {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			t.Skipf("needs overlayfs over %s: %v", filepath.Dir(upper), err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		t.Skipf("needs overlayfs over %s: %v", filepath.Dir(upper), err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "overlay")
	t.Cleanup(func() { f.Close() })
	return f
}

// The destination of a build step is an overlay that is mounted nowhere.
func TestCopyIntoOverlay(t *testing.T) {
	testenv.Overlay(t)
	t.Run("through", func(t *testing.T) { copyIntoOverlay(t, false) })
	t.Run("past", func(t *testing.T) { copyIntoOverlay(t, true) })
}

// copyIntoOverlay gives the same tree whether or not the copies may write to the
// upper directory itself.
func copyIntoOverlay(t *testing.T, past bool) {
	lower := plant(t, "etc/ 755 1:1", "etc/conf =old", "etc/keep =K", "bin -> /usr/bin", "usr/bin/sh =SH", "gone/x", "was/x")
	upper := plant(t)
	dst := mountOverlay(t, lower, upper)
	to := Dest{Dir: dst}
	if past {
		to.Upper = open(t, upper)
	}
	src := &Source{Dir: open(t, plant(t, "d/conf 600 =new", "d/e/f =F", "d/e/g => d/e/f", "was =file")), Context: true}
	ctx := context.Background()
	for _, err := range []error{
		CopyTo(ctx, to, src, dockerCopy("/d", "/etc"), nil),
		CopyTo(ctx, to, src, dockerCopy("/d", "/new/"), nil),
		CopyTo(ctx, to, src, dockerCopy("/d/e/f", "/bin/"), &Owner{2, 3}),
		CopyTo(ctx, to, src, dockerCopy("/was", "/", replacing), nil),
		Rm(ctx, dst, &pb.FileActionRm{Path: "/gone"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"bin -> /usr/bin 0:0", "etc/ 0755 1:1", "etc/conf 0600 0:0 =new", "etc/e/ 0755 0:0", "etc/e/f 0644 0:0 =F", "etc/e/g => etc/e/f",
		"etc/keep 0644 0:0 =K", "new/ 0755 0:0", "new/conf 0600 0:0 =new", "new/e/ 0755 0:0", "new/e/f 0644 0:0 =F", "new/e/g => new/e/f",
		"usr/ 0755 0:0", "usr/bin/ 0755 0:0", "usr/bin/f 0644 2:3 =F", "usr/bin/sh 0644 0:0 =SH", "was 0644 0:0 =file",
	}
	if diff := cmp.Diff(want, list(t, "/proc/self/fd/"+strconv.Itoa(int(dst.Fd()))+"/")); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	want = []string{
		"etc/ 0755 1:1", "etc/conf 0600 0:0 =new", "etc/e/ 0755 0:0", "etc/e/f 0644 0:0 =F", "etc/e/g => etc/e/f",
		"gone c 0000 0:0 0:0", "new/ 0755 0:0", "new/conf 0600 0:0 =new", "new/e/ 0755 0:0", "new/e/f 0644 0:0 =F", "new/e/g => new/e/f",
		"usr/ 0755 0:0", "usr/bin/ 0755 0:0", "usr/bin/f 0644 2:3 =F", "was 0644 0:0 =file",
	}
	if diff := cmp.Diff(want, list(t, upper)); diff != "" {
		t.Errorf("upper (-want +got):\n%s", diff)
	}
}
