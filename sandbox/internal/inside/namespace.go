//go:build linux

package inside

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// NamespaceArg0 is the argv[0] of a program that waits, in a new user namespace,
// for its users to be mapped. The descriptor that tells it follows, then the
// program's own arguments.
const NamespaceArg0 = "mica-namespace"

// NamespaceEnv tells a program in its namespace which kind that is, and the
// process outside: KIND:PID.
const NamespaceEnv = "MICA_USER_NAMESPACE"

// TryArg0 is the argv[0] of a program that only tries to be in a namespace.
const TryArg0 = "mica-namespace-try"

// awaitUsers goes on as the program itself once its users are mapped: execve(2)
// as user 0 gives it the capabilities.
func awaitUsers() {
	if len(os.Args) == 1 && os.Args[0] == TryArg0 {
		os.Exit(0)
	}
	if len(os.Args) < 3 || os.Args[0] != NamespaceArg0 {
		return
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		os.Exit(125)
	}
	var b [1]byte
	for {
		n, err := unix.Read(fd, b[:])
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			os.Exit(125) // who should have mapped them is gone
		}
		break
	}
	unix.Close(fd)
	err = syscall.Exec("/proc/self/exe", os.Args[2:], os.Environ())
	os.Stderr.WriteString("mica: start in user namespace: " + err.Error() + "\n")
	os.Exit(125)
}

// bindToParent makes a program in its namespace die with the process outside,
// which its change of privileges has undone.
func bindToParent() {
	_, pid, ok := strings.Cut(os.Getenv(NamespaceEnv), ":")
	if !ok {
		return
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	parent, err := strconv.Atoi(pid)
	if err != nil || os.Getppid() != parent {
		return // a descendant, which has a parent of its own
	}
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	if os.Getppid() != parent {
		os.Exit(125)
	}
}
