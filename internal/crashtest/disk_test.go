//go:build linux

package crashtest

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// TestRefused lets calls fail at random as on a full disk, and, from a random one
// on, all of them as on a disk that was mounted read-only.
func TestRefused(t *testing.T) {
	b := newBench(t)
	for round := 0; round*3 < *kills/2; round++ {
		fail := "enospc"
		if b.rand.IntN(3) == 0 {
			fail = fmt.Sprint("erofs ", 1+b.rand.IntN(300))
		}
		var all []*process
		for range 3 {
			all = append(all, b.start(failEnv+"="+fail, opsEnv+"=8"))
		}
		for _, p := range all {
			b.end(p)
		}
		b.verify(round%10 < 9)
		if round%10 == 9 {
			b.collect()
		}
	}
	b.verify(false)
	b.collect()
}

// TestFullDisk works, and kills, on a small disk that gets full and has room again.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	disk := smallDisk(t)
	b.files = []*os.File{disk}
	dir := fmt.Sprintf("/proc/self/fd/%d", disk.Fd())
	b.root = dir + "/store"
	ballast := dir + "/ballast"
	b.open().Close() // there is room for that
	for round := 0; round*3 < *kills/3; round++ {
		var all []*process
		for range 3 {
			all = append(all, b.start(rootEnv+"=/proc/self/fd/3/store", failEnv+"=disk", opsEnv+"=30"))
		}
		for _, p := range all {
			time.Sleep(time.Duration(b.rand.IntN(60)) * time.Millisecond)
			fill(t, ballast)
			select {
			case <-p.done:
			case <-time.After(time.Duration(b.rand.IntN(100)) * time.Millisecond):
				if b.rand.IntN(2) == 0 {
					_ = p.cmd.Process.Kill()
				}
			}
			must(t, os.Remove(ballast))
		}
		for _, p := range all {
			b.end(p)
		}
		b.verify(false)
		b.collect()
	}
}

// smallDisk is a filesystem of a few megabytes that is mounted nowhere.
func smallDisk(t *testing.T) *os.File {
	t.Helper()
	testenv.Root(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs fsopen: %v", err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "size", "8m"), unix.FsconfigCreate(fs)); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs fsmount: %v", err)
	}
	f := os.NewFile(uintptr(fd), "disk")
	t.Cleanup(func() { f.Close() })
	return f
}

// fill takes all the room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		if errors.Is(err, unix.ENOSPC) {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		must(t, err)
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(buf)
	}
}
