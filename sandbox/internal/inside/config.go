//go:build linux

package inside

// Arg0 is the argv[0] by which a process knows that it is to be a sandbox.
const Arg0 = "mica-sandbox"

// The file descriptors a sandbox starts with, after its standard streams.
const (
	controlFD = 3
	rootFD    = 4
	// FirstFD is where the files named by Config.Mounts begin.
	FirstFD = 5
)

// A Config is all that a sandbox is told.
type Config struct {
	Args []string
	Env  []string
	Dir  string

	UID, GID uint32
	Groups   []uint32
	HasHome  bool // Env has HOME; otherwise Home is it
	Home     string

	NoNewPrivs  bool
	Sysctls     map[string]string
	OOMScoreAdj int
	Domainname  string
	Init        int // the descriptor of the program to be init; 0 for none

	Hostname     string
	Hosts        []byte // /etc/hosts
	Resolv       []byte // /etc/resolv.conf
	ReadonlyRoot bool
	Files        []File
	OwnFiles     bool // the process may write to /etc/hosts and /etc/resolv.conf
	SharedProc   bool // /proc is the one outside
	NoDevices    bool // root and binds are mounted nodev
	Insecure     bool
	ShmSize      int64
	Mounts       []Mount
	Masked       []string
	Readonly     []string
	Cgroup       CgroupView

	Caps    uint64 // bounding, permitted and effective set
	Seccomp []byte // struct sock_filter array, native byte order; empty is none
	Rlimits []Rlimit
	Net     Net

	// Enter is the descriptor of the mount namespace of a sandbox that is there
	// already, which the command joins; 0: it gets a world of its own. What describes
	// that world is not looked at then.
	Enter int

	Terminal bool
	Rows     uint16
	Cols     uint16
	// Rootless says that the sandbox is in a user namespace; SingleID, that it
	// knows one user and group.
	Rootless, SingleID bool
	RootPath           string // rootless: see Mount.Path
}

// A Mount is one of the user's mounts. FD is its source, 0 for a tmpfs.
type Mount struct {
	FD int
	// Path leads to the same file: a new user namespace may only bind what it
	// finds in its own mount namespace. "" is none.
	Path     string
	Detached bool // FD is a whole detached mount that the parent could not clone
	Subpath  string
	Target   string
	File     bool // the source is no directory
	ReadOnly bool
	// Recursive says that ReadOnly concerns mounts below the source too.
	Recursive bool
	Data      []string // tmpfs: options, key=value
	NoExec    bool     // tmpfs
	NoDev     bool     // tmpfs
}

// A File is a file with content of ours.
type File struct {
	Target   string
	Data     []byte
	Writable bool // by the process, for as long as it runs
}

// CgroupView is what /sys/fs/cgroup shows.
type CgroupView struct {
	Unified bool // a cgroup2 of the cgroup namespace
	// V1 are directories bound below a tmpfs.
	V1 []CgroupBind
}

// CgroupBind shows the directory Path as Name.
type CgroupBind struct{ Name, Path string }

// Rlimit is one setrlimit(2).
type Rlimit struct {
	Resource int
	Cur, Max uint64
}

// Net is how the network namespace is set up.
type Net struct {
	Private bool // the namespace is new: bring lo up
	NS      int  // the descriptor of a prepared namespace to enter, 0 for none
}

// Kinds of message on the control socket, each a byte before the text.
const (
	MsgReady = 'R' // execve(2) follows
	MsgError = 'E' // one byte exit code (0: setup failed), then text
	MsgTTY   = 'T' // carries the terminal's descriptor
)
