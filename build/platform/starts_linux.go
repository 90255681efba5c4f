package platform

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// starts tries whether the kernel starts a program for arch. A whole one must
// also end well; of one in looks only, that an interpreter took it is enough.
func starts(arch string) bool {
	program := header(arch)
	if program == nil {
		return false
	}
	f, err := memoryFile(program)
	if err != nil {
		return false
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		return false
	}
	err = cmd.Wait()
	return err == nil || machines[arch].exit == nil
}

// memoryFile gives an executable file that is on no disk, open for reading:
// what is open for writing cannot be executed.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("mica-probe", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := os.NewFile(uintptr(fd), "mica-probe")
	defer w.Close()
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	return os.Open("/proc/self/fd/" + strconv.Itoa(fd))
}
