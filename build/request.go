package build

import (
	"io"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// A Request is one `mica build`. The zero value builds the empty context "",
// so Context is the one field that every caller sets.
type Request struct {
	Context    string    // directory, "-" (Stdin), git or http URL
	Dockerfile string    // path, "-" (Stdin) or URL; "" is the Dockerfile of the context
	Stdin      io.Reader // read when Context or Dockerfile is "-"; nil is an empty input

	Tags        []string          // references as the user wrote them
	Target      string            // stage to build; "" is the last one
	Platforms   []string          // "linux/arm64"; "local" is this machine's; none means this machine's
	BuildArgs   map[string]string // values already resolved against the environment
	Labels      map[string]string
	Annotations []string // "[type[platform]:]key=value"

	NoCache       bool
	NoCacheFilter []string // stages that do not use the cache
	Pull          bool     // ask the registry even if the store has the base image

	Secrets []Secret
	SSH     []SSH

	Network      string   // "", "default", "bridge", "none" or "host"
	AddHosts     []string // "host:ip" or "host=ip"; the ip may be host-gateway
	ShmSize      int64    // bytes; 0 is the default
	Ulimits      []string // "name=soft[:hard]"
	CgroupParent string
	Resources    Resources

	BuildContexts map[string]string // name to directory, docker-image://, oci-layout:// or URL

	Outputs []Output // none means the image goes to the local store

	Allow []string // entitlements: network.host, security.insecure

	// DryRun only looks what would be done: Result.Plan. Configs of base images
	// are fetched, and sources that have to be read to know.
	DryRun bool
	// RequireCached runs no step: if one is not in the cache, the error is a
	// *NotCachedError that says why.
	RequireCached bool

	// Call asks a question instead of building: "", "build", "check", "outline",
	// "targets" or "subrequests.describe".
	Call string
	// CallOpts refine Call, as in "format=json".
	CallOpts []string

	SourceDateEpoch string // seconds, "context" or a name; "" leaves times alone
	Reproducible    bool   // settle all times and everything else that may vary

	// Progress receives the status of the build. Calls do not overlap; nil is silence.
	Progress func(*client.SolveStatus)
	Stdout   io.Writer // where an Output with Dest "-" goes
}

// A Secret is a value that RUN --mount=type=secret may read. Exactly one of
// File and Env is set.
type Secret struct {
	ID   string
	File string // path of the file that holds the value
	Env  string // name of the environment variable that holds the value
}

// SSH forwards an agent, or keys, to RUN --mount=type=ssh.
type SSH struct {
	ID    string   // "default" unless named
	Paths []string // one agent socket or key files; none means $SSH_AUTH_SOCK
}

// Resources limit each RUN step; zero means no limit.
type Resources struct {
	Memory     int64 // bytes
	MemorySwap int64 // memory plus swap in bytes; -1 unlimited swap
	CPUShares  uint64
	CPUPeriod  uint64 // microseconds
	CPUQuota   int64  // microseconds
	CpusetCPUs string // "0-3,5"
	CpusetMems string
}

// An Output is one place the result goes to.
type Output struct {
	Type  string            // image, local, tar, oci, docker or cacheonly; pushing is image with push=true
	Attrs map[string]string // all attributes but type and dest
	Dest  string            // file or directory; "-" is Request.Stdout
}

// A Result says what a build made.
type Result struct {
	ImageID    digest.Digest    // config digest, docker's image ID; of an index, its own; "" when no image was made
	Digest     digest.Digest    // manifest or index
	Descriptor image.Descriptor // of Digest
	Names      []string         // canonical references the image was given

	Metadata map[string]any // for --metadata-file, key by key

	Plan *Plan // of a DryRun

	Warnings []client.VertexWarning // lint and other warnings, in order

	// Call is the rendered answer to Request.Call, CallExitCode what the
	// process should exit with (non-zero when a check found something).
	Call         []byte
	CallExitCode int
}
