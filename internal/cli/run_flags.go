package cli

import (
	"github.com/spf13/pflag"
)

// idleRun are docker's flags of which nothing depends: they are accepted.
var idleRun = []string{
	"annotation",
}

// unsupportedRun are docker's flags for what mica cannot do yet, and which a
// command may depend on: they are refused by name rather than called unknown.
var unsupportedRun = []string{
	"blkio-weight", "blkio-weight-device", "cgroupns", "cpu-rt-period", "cpu-rt-runtime",
	"device", "device-cgroup-rule", "device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops",
	"gpus", "ip6", "ipc", "link", "link-local-ip",
	"mac-address", "memory-reservation", "memory-swappiness", "net-alias", "pid",
	"runtime", "storage-opt", "userns", "uts", "volume-driver",
}

// unsupportedRunSwitches are those that take no value.
var unsupportedRunSwitches = []string{"oom-kill-disable", "use-api-socket"}

// addIdleFlags adds the flags that are only there to be accepted or refused.
func addIdleFlags(f *pflag.FlagSet) {
	hide := func(name string) { must(f.MarkHidden(name)) }
	for _, name := range idleRun {
		f.StringArray(name, nil, "accepted: of no consequence here")
		hide(name)
	}
	for _, name := range unsupportedRun {
		f.StringArray(name, nil, "refused: in a later release")
		hide(name)
	}
	for _, name := range unsupportedRunSwitches {
		f.Bool(name, false, "refused: in a later release")
		hide(name)
	}
}

// unsupportedFlags names the flags given that mica cannot honour.
func unsupportedFlags(f *pflag.FlagSet) []string {
	var given []string
	for _, name := range unsupportedRun {
		if f.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	for _, name := range unsupportedRunSwitches {
		if on, err := f.GetBool(name); err == nil && on {
			given = append(given, "--"+name)
		}
	}
	return given
}
