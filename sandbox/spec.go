package sandbox

import (
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/mica-build/mica/sandbox/network"
)

// A Spec describes one process and the world it sees. The zero value of each
// field is docker's default for RUN. As JSON it lacks what is of one process only:
// the root, the streams and other open files.
type Spec struct {
	// Root is the root filesystem: a directory or a detached mount. The caller
	// keeps it open until Run returns, and closes it. Sandboxes that share a root
	// at the same time should find their mount points in it: one that made them
	// also removes them.
	Root *os.File `json:"-"`
	// ReadonlyRoot mounts the root read-only.
	ReadonlyRoot bool

	Args []string // Args[0] is looked up in Env's PATH inside the root
	Env  []string // KEY=value; HOME is added from the root's /etc/passwd when missing or empty
	Dir  string   // working directory; "" is /; it must exist
	User string   // user[:group], names or numbers, looked up in the root; "" is 0:0
	// Groups are further supplementary groups (run --group-add), names or numbers.
	Groups []string

	Hostname string // "" is "buildkitsandbox"
	// Container shows the process the files of a container instead of those of a
	// build step: its own address in /etc/hosts, and an /etc/hostname. It can
	// write to them, and to /etc/resolv.conf, unless the root is read-only.
	Container bool
	Mounts    []Mount
	Network   NetworkMode
	// Link is the bridge instead of the one that all share, where Network is Bridge, and
	// Address the process's place on it; the zero address is any.
	Link    *network.Bridge `json:"-"`
	Address netip.Addr
	// Insecure gives all capabilities, no seccomp filter, no masked paths and
	// the host's devices (RUN --security=insecure, run --privileged).
	Insecure bool
	CapAdd   []string
	CapDrop  []string
	// NoNewPrivs keeps setuid programs from giving more privileges.
	NoNewPrivs bool
	// Seccomp is a profile in docker's JSON format instead of the default one, or
	// Unconfined.
	Seccomp string
	// OpenSystem neither masks parts of /proc and /sys nor makes them read-only.
	OpenSystem  bool
	Sysctls     map[string]string // of the process's own namespaces: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*
	OOMScoreAdj int
	Domainname  string // NIS domain; shown in /etc/hosts behind the hostname too
	// Init puts a small init before the process, which reaps orphans and passes signals on.
	Init       bool
	ExtraHosts []HostIP
	DNS        []string // nameservers instead of the host's
	// DNSSearch and DNSOptions replace the host's search domains and resolver options.
	DNSSearch    []string
	DNSOptions   []string
	Ulimits      []Ulimit
	ShmSize      int64 // bytes; 0 is 64 MiB
	CgroupParent string
	Resources    Resources
	// Accounting makes the process's control group tell what it uses, and able to be
	// frozen, on every machine.
	Accounting bool

	Stdin          io.Reader `json:"-"` // nil is an empty input; an *os.File is passed as it is
	Stdout, Stderr io.Writer `json:"-"` // an *os.File is passed as it is
	// CPUTime, when not nil, is set to the processor time that the process and
	// those it waited for took, before Run or Wait returns.
	CPUTime *time.Duration `json:"-"`
	// Terminal allocates a pseudo-terminal for the process; Stdin and Stdout are its other end.
	Terminal bool
	// Rows and Cols are its size at first, in characters; 0 is the kernel's default.
	Rows, Cols uint16
	// KeepTerminal leaves the other end of the terminal to the caller, as Process.Master.
	KeepTerminal bool `json:"-"`
}

// Unconfined, as Spec.Seccomp, is no filter.
const Unconfined = "unconfined"

// MountKind says what is mounted.
type MountKind int

// The kinds of Mount.
const (
	Bind  MountKind = iota // Source (or SourceFile) appears at Target
	Tmpfs                  // an empty tmpfs of Size bytes
)

// A Mount is one more filesystem in the sandbox. Missing targets are made in
// the root and removed again afterwards (see Run).
type Mount struct {
	Kind   MountKind
	Target string // absolute path in the sandbox; symlinks in the root are followed, confined to it
	// Source is the host path bound, or SourceFile an open file, directory or
	// detached mount. Subpath is looked up below it, confined to it.
	Source     string
	SourceFile *os.File `json:"-"`
	Subpath    string
	ReadOnly   bool
	Recursive  bool  // bind what is mounted below Source too
	Size       int64 // tmpfs: bytes, 0 unlimited
	Mode       uint32
	// NoExec and NoDev make files on a tmpfs no programs and no devices.
	NoExec, NoDev bool
	// Options are further options of a tmpfs, as in "uid=33" and "nr_inodes=10".
	Options []string
}

// NetworkMode is what network the process sees.
type NetworkMode int

// The network modes. Bridge is a private network namespace with NAT to the
// host's network, as docker build has it.
const (
	Bridge NetworkMode = iota
	None
	Host
)

// A HostIP is an extra line of /etc/hosts; IP "host-gateway" is the host's
// address as the sandbox sees it.
type HostIP struct{ Host, IP string }

// A Ulimit is one resource limit, Name as docker spells it ("nofile").
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Resources are cgroup limits; zero means none.
type Resources struct {
	Memory     int64 // bytes
	MemorySwap int64 // memory plus swap in bytes; -1 unlimited swap
	CPUShares  uint64
	CPUPeriod  uint64 // microseconds
	CPUQuota   int64  // microseconds
	CpusetCPUs string // "0-3,5"
	CpusetMems string
	PidsLimit  int64
}

// An ExitError says that the process ran and ended with a code other than 0.
// A process killed by signal N has code 128+N.
//
// Err is set when the command could not be executed at all.
type ExitError struct {
	Code      int
	OOMKilled bool
	Err       error
}

// Error says how the process ended, as docker users know it.
func (e *ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	if e.OOMKilled {
		return "killed: out of memory (exit code " + strconv.Itoa(e.Code) + ")"
	}
	return "exit code " + strconv.Itoa(e.Code)
}

// Unwrap gives Err.
func (e *ExitError) Unwrap() error { return e.Err }
