package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// The user without privileges that tests run mica as. It is in a passwd file of
// the tests' own only.
const (
	testUser = "mica-tester"
	testUID  = 54321
)

// asUser becomes the test user, with ranges of further users (mode "ranges") or
// without ("single"), and runs the command of the other arguments. What it
// changes of /etc is in a mount namespace of its own.
func asUser(mode string, command []string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	ranges := ""
	if mode == "ranges" {
		ranges = testUser + ":700000:65536\n"
	}
	for name, add := range map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%[2]d::/nonexistent:/bin/sh\n", testUser, testUID),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", testUser, testUID),
		"/etc/subuid": ranges, "/etc/subgid": ranges,
	} {
		if err := replaceFile(name, add); err != nil {
			return err
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err == nil { // as distributions have it
		if err := replaceTun(); err != nil {
			return err
		}
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, testUID, testUID, testUID},
		{unix.SYS_SETRESUID, testUID, testUID, testUID},
	} {
		if _, _, e := unix.RawSyscall(call[0], call[1], call[2], call[3]); e != 0 {
			return e
		}
	}
	// The change of user has taken /proc/self from this process.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	if path == "/proc/self/exe" { // with an argv[0] of its own
		command = command[1:]
	}
	return syscall.Exec(path, command, os.Environ())
}

// replaceFile mounts a copy of the file with a further line over it.
func replaceFile(name, add string) error {
	old, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp("", "mica-test-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the mount keeps it
	defer f.Close()
	if _, err := f.Write(append(old, add...)); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return bindOpen(f, name)
}

// bindOpen mounts an open file without needing its name afterwards.
func bindOpen(f *os.File, over string) error {
	fd, err := unix.OpenTree(int(f.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, over, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// replaceTun mounts a device node that anybody may open.
func replaceTun() error {
	dir, err := os.MkdirTemp("/dev", "mica-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "tun")
	if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		return err
	}
	if err := os.Chmod(name, 0o666); err != nil {
		return err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, "/dev/net/tun", unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// testModeEnv makes the test binary, as mica, become the test user first.
const testModeEnv = "MICA_TEST_MODE"

// becomeUser starts this program again as the test user.
func becomeUser(mode string) {
	err := asUser(mode, append([]string{"/proc/self/exe"}, os.Args...))
	fmt.Fprintln(os.Stderr, "become the test user:", err)
	os.Exit(99)
}

// giveToUser makes a script's directory the test user's.
func giveToUser(dir string) error {
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, testUID, testUID)
	})
}

// TestScriptRootless runs the scripts without privileges.
func TestScriptRootless(t *testing.T) {
	for _, mode := range []string{"ranges", "single"} {
		t.Run(mode, func(t *testing.T) {
			needsUser(t, mode)
			runScripts(t, mode)
		})
	}
}

// asUserMain is asUser as a command: as-user MODE COMMAND...
func asUserMain() {
	err := asUser(os.Args[1], os.Args[2:])
	fmt.Fprintln(os.Stderr, "as-user:", err)
	os.Exit(99)
}

// needsUser skips where the test user cannot be had.
func needsUser(t *testing.T, mode string) {
	t.Helper()
	testenv.Root(t)
	if mode != "ranges" {
		return
	}
	for _, f := range []string{"/etc/subuid", "/etc/subgid"} {
		if _, err := os.Stat(f); err != nil {
			t.Skipf("needs %s", f)
		}
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		t.Skip("needs newuidmap: apt-get install uidmap")
	}
}

// userDir is a directory of the test user's that everybody reaches.
func userDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mica-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, testUID, testUID); err != nil {
		t.Fatal(err)
	}
	return dir
}

// micaAs runs mica in dir as root (mode "") or as the test user and gives what
// it printed.
func micaAs(t *testing.T, mode, dir string, args ...string) (stdout string, err error) {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if _, err := os.Stat(bin); err != nil {
		copyTestBinary(t, bin)
	}
	command := append([]string{filepath.Join(bin, "mica")}, args...)
	if mode != "" {
		command = append([]string{filepath.Join(bin, "as-user"), mode}, command...)
	}
	c := exec.Command(command[0], command[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "MICA_ROOT="+filepath.Join(dir, "store-"+mode), "HOME="+dir)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err = c.Run()
	if err != nil {
		err = fmt.Errorf("mica %s: %w\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return strings.TrimSpace(out.String()), err
}

func copyTestBinary(t *testing.T, bin string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "mica"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("mica", filepath.Join(bin, "as-user")); err != nil {
		t.Fatal(err)
	}
}

// rootlessDockerfiles are built by root and by users without privileges. The
// base image (see makeBase) has files of several owners, and a device.
var rootlessDockerfiles = map[string]struct {
	dockerfile string
	ranges     bool // needs more users than one
}{
	"base alone": {dockerfile: "FROM base\nENV a=b\n"},
	"copy with owners": {dockerfile: `FROM base
COPY --chown=1000:1001 tree /a
COPY --chown=app --chmod=4750 tree/file /b
COPY --chown=0:7 tree /c/d/e
WORKDIR /made
`},
	"add archive with owners": {dockerfile: "FROM scratch\nADD owners.tar /x/\nADD --chown=3:4 owners.tar /y/\n"},
	"run": {dockerfile: `FROM base
RUN echo hi > /hi && mkdir -p /deep/er && rm /owned/file && ln -s /hi /owned/new && mv /owned/other /moved
RUN rm -r /owned && mkdir /owned && echo x > /owned/y
`},
	"run as user": {dockerfile: `FROM base
COPY --chown=1000:1001 tree /home
RUN rm -r /owned/dir
`},
	"stages": {dockerfile: `FROM base AS one
COPY --chown=1000:1001 tree /tree
ADD owners.tar /unpacked
RUN rm /tree/file
FROM base AS two
RUN echo two > /two
COPY --from=one /tree /tree
FROM base
COPY --from=one /unpacked /unpacked
COPY --from=one /owned /again
COPY --from=two /tree /two /all/
COPY --from=two --chown=9:9 /tree /nine
RUN cat /all/two
`},
	"mounts": {dockerfile: `FROM base AS one
COPY --chown=1000:1001 tree /tree
FROM base
RUN --mount=type=bind,from=one,source=/tree,target=/m --mount=type=cache,target=/c --mount=type=tmpfs,target=/t \
    cat /m/file > /copied && echo x > /c/x && echo y > /t/y
`},
	"changes of owner": {ranges: true, dockerfile: `FROM base
RUN chown -R 12:34 /owned && chmod 2775 /owned && mkdir -m 700 /p && chown 5:6 /p
USER app:app
RUN id -u > /tmp/uid && mkdir /tmp/of-app
`},
}

// TestRootless builds the same as root and as users without privileges and
// wants the same images.
func TestRootless(t *testing.T) {
	busybox := testenv.Busybox(t)
	for _, mode := range []string{"ranges", "single"} {
		t.Run(mode, func(t *testing.T) {
			needsUser(t, mode)
			dir := userDir(t)
			makeContext(t, dir, busybox)
			makeBase(t, dir)
			if _, err := micaAs(t, mode, dir, "load", "-q", "-i", "base.tar"); err != nil {
				t.Fatal(err)
			}
			for name, tt := range rootlessDockerfiles {
				t.Run(name, func(t *testing.T) {
					if tt.ranges && mode == "single" {
						t.Skip("one user cannot give files away")
					}
					file := filepath.Join(dir, "ctx", "Dockerfile")
					if err := os.WriteFile(file, []byte(tt.dockerfile), 0o644); err != nil {
						t.Fatal(err)
					}
					want, err := micaAs(t, "", dir, "build", "-q", "--reproducible", "ctx")
					if err != nil {
						t.Fatal(err)
					}
					got, err := micaAs(t, mode, dir, "build", "-q", "--reproducible", "ctx")
					if err != nil {
						t.Fatal(err)
					}
					if got != want {
						t.Errorf("image %s, root's is %s", got, want)
					}
				})
			}
			t.Run("prune", func(t *testing.T) {
				if _, err := micaAs(t, mode, dir, "system", "prune", "-af"); err != nil {
					t.Error(err)
				}
				left, err := filepath.Glob(filepath.Join(dir, "store-"+mode, "trash", "*"))
				if err != nil || len(left) > 0 {
					t.Errorf("left in the trash: %q, %v", left, err)
				}
			})
		})
	}
}

// makeContext fills ctx with files and an archive of several owners.
func makeContext(t *testing.T, dir, busybox string) {
	t.Helper()
	script := `
set -e
mkdir -p ctx/tree/sub src/d
cp "$1" ctx/busybox
echo one > ctx/tree/file; echo two > ctx/tree/sub/two; ln -s file ctx/tree/link
echo x > src/d/x; ln -s x src/d/link; mkfifo src/d/fifo; ln src/d/x src/d/hard
chown -R 1000:1001 src/d; chown -h 5:6 src/d/link; chown 7:8 src/d/fifo
tar -C src -cf ctx/owners.tar d
chmod -R a+rX ctx
`
	c := exec.Command("sh", "-c", script, "sh", busybox)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// makeBase builds the image base as root and saves it as base.tar.
func makeBase(t *testing.T, dir string) {
	t.Helper()
	const dockerfile = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin; mkdir -p -m 1777 /etc /tmp; echo app:x:1000:1001::/home:/bin/sh > /etc/passwd; echo app:x:1001: > /etc/group"]
RUN mkdir -p /owned/dir && cd /owned && echo f > file && echo o > other && ln -s file link && mkfifo fifo && mknod dev c 1 7 && \
    chown -R 1000:1001 . && chown -h 33:44 link && chown 55:66 fifo && chmod 6755 other
`
	file := filepath.Join(dir, "ctx", "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"build", "-q", "--reproducible", "-t", "base", "ctx"}, {"save", "-o", "base.tar", "base"}} {
		if _, err := micaAs(t, "", dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "base.tar"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRootlessAdvice checks what is said of a chown that one user cannot do.
func TestRootlessAdvice(t *testing.T) {
	busybox := testenv.Busybox(t)
	needsUser(t, "single")
	dir := userDir(t)
	makeContext(t, dir, busybox)
	file := filepath.Join(dir, "ctx", "Dockerfile")
	if err := os.WriteFile(file, []byte("FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"chown\", \"5\", \"/busybox\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := micaAs(t, "single", dir, "build", "ctx")
	if err == nil {
		t.Fatal("a user without ranges gave a file away")
	}
	for _, want := range []string{"Invalid argument", "usermod --add-subuids", "uidmap"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

// TestRootlessStore checks that layers made with other users are not used.
func TestRootlessStore(t *testing.T) {
	needsUser(t, "single")
	dir := userDir(t)
	if _, err := micaAs(t, "single", dir, "system", "df"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MICA_ROOT", filepath.Join(dir, "store-single"))
	if _, err := micaAs(t, "", dir, "--root", filepath.Join(dir, "store-single"), "images"); err == nil || !strings.Contains(err.Error(), "user without privileges") {
		t.Errorf("root took the store of a user: %v", err)
	}
	// Who gets ranges later stays with one user in that store.
	needsUser(t, "ranges")
	if _, err := micaAs(t, "ranges", dir, "--root", filepath.Join(dir, "store-single"), "system", "df"); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "store-single", usersFile))
	if err != nil || string(got) != "single\n" {
		t.Errorf("users of the store: %q, %v", got, err)
	}
}

// TestRootlessSignals checks that the two processes of a command end together.
func TestRootlessSignals(t *testing.T) {
	busybox := testenv.Busybox(t)
	for _, tt := range []struct {
		name string
		sig  syscall.Signal
		code int // -1 is death by the signal
	}{
		{"terminated", syscall.SIGTERM, 128 + 15},
		{"killed", syscall.SIGKILL, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needsUser(t, "single")
			dir := userDir(t)
			makeContext(t, dir, busybox)
			// The step shows that it runs by a file in its cache mount.
			dockerfile := "FROM scratch\nCOPY busybox /busybox\n" +
				"RUN --mount=type=cache,target=/c [\"/busybox\", \"sh\", \"-c\", \"/busybox touch /c/runs; exec /busybox sleep 300\"]\n"
			if err := os.WriteFile(filepath.Join(dir, "ctx", "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
				t.Fatal(err)
			}
			copyTestBinary(t, filepath.Join(dir, "bin"))
			c := exec.Command(filepath.Join(dir, "bin", "as-user"), "single", filepath.Join(dir, "bin", "mica"), "build", "--network=host", "--allow=network.host", "ctx")
			c.Dir = dir
			c.Env = append(os.Environ(), "MICA_ROOT="+filepath.Join(dir, "store"), "HOME="+dir)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Process.Kill() })
			waitFor(t, "the step to run", func() bool {
				m, _ := filepath.Glob(filepath.Join(dir, "store", "cachemounts", "*", "*", "fs"))
				for _, d := range m {
					if _, err := os.Stat(filepath.Join(d, "runs")); err == nil {
						return true
					}
				}
				return false
			})
			if err := c.Process.Signal(tt.sig); err != nil {
				t.Fatal(err)
			}
			c.Wait()
			if got := c.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			waitFor(t, "all processes to end", func() bool { return len(processesOf(testUID)) == 0 })
		})
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// processesOf lists the live processes of a user.
func processesOf(uid uint32) (pids []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		status, err := os.ReadFile(d + "/status")
		if err != nil || bytes.Contains(status, []byte("State:\tZ")) {
			continue
		}
		if bytes.Contains(status, fmt.Appendf(nil, "Uid:\t%d\t", uid)) {
			pids = append(pids, filepath.Base(d))
		}
	}
	return pids
}

// TestRootlessNotices checks that whatever is other than asked for is said, and
// nothing else.
func TestRootlessNotices(t *testing.T) {
	busybox := testenv.Busybox(t)
	needsUser(t, "single")
	dir := userDir(t)
	makeContext(t, dir, busybox)
	makeBase(t, dir)
	if _, err := micaAs(t, "single", dir, "load", "-q", "-i", "base.tar"); err != nil {
		t.Fatal(err)
	}
	host, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	const script = "exec 2>&1; readlink /proc/self/ns/net"
	for _, tt := range []struct {
		name     string
		path     string // PATH, where helpers are looked up
		flags    []string
		same     bool // the network is the host's, which has to be said
		said     string
		anything bool // what is installed decides
	}{
		{name: "no helper", path: "/nowhere", same: true, said: "neither pasta (package passt) nor slirp4netns is installed"},
		{name: "what there is", path: os.Getenv("PATH"), anything: true, said: "the network is the host's"},
		{name: "asked for the host's", path: "/nowhere", flags: []string{"--network=host"}, same: true},
		{name: "none", path: "/nowhere", flags: []string{"--network=none"}},
		{name: "limits", path: "/nowhere", flags: []string{"--network=none", "--memory=64m"}, said: "the limits on memory, CPU and processes are not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"single", filepath.Join(dir, "bin", "mica"), "run", "--rm"}, tt.flags...)
			c := exec.Command(filepath.Join(dir, "bin", "as-user"), append(args, "base", "sh", "-c", script)...)
			c.Dir = dir
			c.Env = append(os.Environ(), "MICA_ROOT="+filepath.Join(dir, "store-single"), "HOME="+dir, "PATH="+tt.path)
			var out, errOut bytes.Buffer
			c.Stdout, c.Stderr = &out, &errOut
			if err := c.Run(); err != nil {
				t.Fatal(err, errOut.String())
			}
			same := strings.TrimSpace(out.String()) == host
			switch said := strings.Contains(errOut.String(), tt.said); {
			case tt.anything && same != said:
				t.Errorf("the host's network: %v, said: %q", same, errOut.String())
			case !tt.anything && (same != tt.same || !said || tt.said == "" && errOut.Len() > 0):
				t.Errorf("the host's network: %v, want %v; said: %q", same, tt.same, errOut.String())
			}
		})
	}
}
