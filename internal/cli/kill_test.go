//go:build linux

package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mica-build/mica/internal/testenv"
)

// TestKilledBuild kills a build in the middle of a RUN: its processes and its end
// of the network go at once, its temporaries and cgroup with the next build.
func TestKilledBuild(t *testing.T) {
	testenv.Overlay(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "store")
	box, err := os.ReadFile(testenv.Busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprint("killed-build-", os.Getpid())
	for name, text := range map[string]string{
		"busybox": string(box),
		"Dockerfile": "FROM scratch AS base\nCOPY --chmod=755 busybox /bin/busybox\nENV MARK=" + mark + "\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n" +
			"RUN --mount=type=cache,target=/cache,sharing=locked true\n" +
			"FROM base AS slow\nRUN --mount=type=cache,target=/cache,sharing=locked echo link $(/bin/busybox cat /sys/class/net/eth0/iflink); /bin/busybox sleep 1000 & /bin/busybox sleep 1000\n" +
			"FROM base\nRUN --mount=type=cache,target=/cache,sharing=locked echo next\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	victim := micaCommand(root, "build", "--progress=plain", "--target=slow", dir)
	out, err := victim.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	link := waitForLink(t, out)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	eventuallyNone(t, "right away", func() []string { return append(marked(mark), linkName(link)...) })

	// The cache mount that the killed one had locked is free.
	if out, err := micaCommand(root, "build", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("next build: %v\n%s", err, out)
	}
	eventuallyNone(t, "with the next build", func() []string {
		found := dirsWith("/sys/fs/cgroup", fmt.Sprint(victim.Process.Pid, "-"))
		found = append(found, dirsWith(filepath.Join(root, "tmp"), "")...)
		leases, _ := filepath.Glob(filepath.Join(root, "leases", "*"))
		return append(found, leases...)
	})
	check, err := micaCommand(root, "system", "check").CombinedOutput()
	if err != nil || !bytes.Contains(check, []byte("The store is sound")) {
		t.Errorf("check: %v\n%s", err, check)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(root)) {
		t.Errorf("mounts of the store are left, %v", err)
	}
}

// micaCommand is the test binary as mica (see TestMain).
func micaCommand(root string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Args = append([]string{"mica", "--root", root}, args...)
	return c
}

// waitForLink reads the progress up to the number of the network interface.
func waitForLink(t *testing.T, r interface{ Read([]byte) (int, error) }) int {
	t.Helper()
	line := regexp.MustCompile(` link (\d+)$`)
	var log strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if m := line.FindStringSubmatch(lines.Text()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the step does not run:\n%s", log.String())
	return 0
}

// linkName is the host's end of the network, if it is there.
func linkName(index int) []string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return []string{"interface " + i.Name}
	}
	return nil
}

// marked lists the processes that have the mark in their environment.
func marked(mark string) []string {
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range procs {
		if data, err := os.ReadFile(p); err == nil && bytes.Contains(data, []byte("MARK="+mark)) {
			found = append(found, "process "+p)
		}
	}
	return found
}

func dirsWith(root, prefix string) []string {
	var found []string
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != root && strings.HasPrefix(d.Name(), prefix) {
			found = append(found, p)
		}
		return nil
	})
	return found
}

func eventuallyNone(t *testing.T, when string, check func() []string) {
	t.Helper()
	var found []string
	for range 500 {
		if found = check(); len(found) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("should be gone %s: %q", when, found)
}
