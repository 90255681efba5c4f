//go:build linux

package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox/internal/inside"
)

// rlimits are docker's names of resource limits.
var rlimits = map[string]int{
	"core":       unix.RLIMIT_CORE,
	"cpu":        unix.RLIMIT_CPU,
	"data":       unix.RLIMIT_DATA,
	"fsize":      unix.RLIMIT_FSIZE,
	"locks":      unix.RLIMIT_LOCKS,
	"memlock":    unix.RLIMIT_MEMLOCK,
	"msgqueue":   unix.RLIMIT_MSGQUEUE,
	"nice":       unix.RLIMIT_NICE,
	"nofile":     unix.RLIMIT_NOFILE,
	"nproc":      unix.RLIMIT_NPROC,
	"rss":        unix.RLIMIT_RSS,
	"rtprio":     unix.RLIMIT_RTPRIO,
	"rttime":     unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING,
	"stack":      unix.RLIMIT_STACK,
}

// fillLimits translates ulimits; -1 is unlimited.
func (l *launch) fillLimits() error {
	for _, u := range l.s.Ulimits {
		res, ok := rlimits[u.Name]
		if !ok {
			return fmt.Errorf("ulimit %q: %w", u.Name, errs.ErrInvalid)
		}
		l.config.Rlimits = append(l.config.Rlimits, inside.Rlimit{Resource: res, Cur: uint64(u.Soft), Max: uint64(u.Hard)})
	}
	return nil
}
