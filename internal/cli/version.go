package cli

import (
	"io"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/ui/format"
)

// version is stamped by the linker.
var version = "unknown"

// versionLine is what --version prints.
func versionLine() string { return "mica version " + version + ", build " + commit() }

func newVersionCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the version",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if spec != "" {
				return format.Object(a.stdout, spec, newVersionInfo())
			}
			return printVersion(a.stdout, newVersionInfo())
		},
	}
	cmd.Flags().StringVarP(&spec, "format", "f", "", inspectFormatHelp)
	return cmd
}

// A versionInfo has docker's two halves, which are one program here.
type versionInfo struct {
	Client component
	Server component
}

// A component is one half. API versions are those of docker's that mica's JSON follows.
type component struct {
	Version       string
	APIVersion    string `json:"ApiVersion"`
	GitCommit     string
	GoVersion     string
	Os            string //nolint:staticcheck // templates spell it as docker does
	Arch          string
	KernelVersion string `json:",omitempty"`
	Context       string `json:",omitempty"`
}

// apiVersion is the version of docker's API whose objects inspect prints.
const apiVersion = "1.51"

func newVersionInfo() versionInfo {
	c := component{
		Version: version, APIVersion: apiVersion, GitCommit: commit(), GoVersion: runtime.Version(),
		Os: runtime.GOOS, Arch: runtime.GOARCH,
	}
	v := versionInfo{Client: c, Server: c}
	v.Client.Context = "default"
	v.Server.KernelVersion = kernelVersion()
	return v
}

// commit is the revision the program was built from.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) > 7 {
				return s.Value[:7]
			}
		}
	}
	return "unknown"
}

func kernelVersion() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

const versionTemplate = `{{with .Client}}Client: mica
 Version:	{{.Version}}
 API version:	{{.APIVersion}}
 Go version:	{{.GoVersion}}
 Git commit:	{{.GitCommit}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Context:	{{.Context}}{{end}}

{{with .Server}}Server: mica (in the same process)
 Version:	{{.Version}}
 API version:	{{.APIVersion}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Kernel:	{{.KernelVersion}}{{end}}`

func printVersion(w io.Writer, v versionInfo) error {
	tw := tabwriter.NewWriter(w, 20, 1, 1, ' ', 0)
	if err := format.Object(tw, versionTemplate, v); err != nil {
		return err
	}
	return tw.Flush()
}

// newBuildxVersionCmd is `mica buildx version`, which scripts ask to find out
// whether there is a buildx.
func newBuildxVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.stdout, "github.com/mica-build/mica "+version+" "+commit()+"\n")
			return err
		},
	}
}
