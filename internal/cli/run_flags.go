package cli

import (
	"github.com/spf13/pflag"
)

// idleRun are docker's flags that mean nothing to a container that nobody can
// ask for, that runs in the foreground and is gone at its end: they are accepted.
var idleRun = []string{
	"annotation", "detach-keys", "expose", "health-cmd", "health-interval", "health-retries", "health-start-interval",
	"health-start-period", "health-timeout", "log-driver", "log-opt", "stop-signal", "stop-timeout",
}

// unsupportedRun are docker's flags for what mica cannot do yet, and which a
// command may depend on: they are refused by name rather than called unknown.
var unsupportedRun = []string{
	"attach", "blkio-weight", "blkio-weight-device", "cgroupns", "cidfile", "cpu-rt-period", "cpu-rt-runtime",
	"device", "device-cgroup-rule", "device-read-bps", "device-read-iops", "device-write-bps", "device-write-iops",
	"dns-opt", "dns-option", "dns-search", "domainname", "gpus", "ip", "ip6", "ipc", "link", "link-local-ip",
	"mac-address", "memory-reservation", "memory-swappiness", "net-alias", "network-alias", "oom-score-adj", "pid",
	"runtime", "security-opt", "storage-opt", "sysctl", "userns", "uts", "volume-driver", "volumes-from",
}

// unsupportedRunSwitches are those that take no value.
var unsupportedRunSwitches = []string{"init", "oom-kill-disable", "use-api-socket"}

// addIdleFlags adds the flags that are only there to be accepted or refused.
func addIdleFlags(f *pflag.FlagSet) {
	hide := func(name string) { must(f.MarkHidden(name)) }
	for _, name := range idleRun {
		f.StringArray(name, nil, "accepted: of no consequence here")
		hide(name)
	}
	f.StringArrayP("label", "l", nil, "accepted: of no consequence here")
	f.Bool("no-healthcheck", false, "accepted: of no consequence here")
	hide("label")
	hide("no-healthcheck")
	for _, name := range unsupportedRun {
		short := ""
		if name == "attach" {
			short = "a"
		}
		f.StringArrayP(name, short, nil, "refused: in a later release")
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
