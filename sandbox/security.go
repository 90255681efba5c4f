//go:build linux

package sandbox

import (
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/sys/capability"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox/seccomp"
)

// defaultCaps is docker's: chown dac_override fowner fsetid kill setgid setuid
// setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap.
const defaultCaps = 0xa80425fb

// masked and readonlyPaths are docker's; see also throttlePaths.
var (
	masked = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// throttlePaths are the per-cpu counters that show what else the machine does.
var throttlePaths = sync.OnceValue(func() []string {
	var paths []string
	for cpu := 0; ; cpu++ {
		dir := "/sys/devices/system/cpu/cpu" + strconv.Itoa(cpu)
		if _, err := os.Stat(dir); err != nil {
			return paths
		}
		if _, err := os.Stat(dir + "/thermal_throttle"); err == nil {
			paths = append(paths, dir+"/thermal_throttle")
		}
	}
})

// allCaps are the capabilities that the kernel knows.
var allCaps = sync.OnceValue(func() uint64 {
	last, err := capability.LastCap()
	if err != nil {
		return 1<<41 - 1
	}
	return 1<<(uint(last)+1) - 1
})

func (l *launch) fillSecurity() error {
	caps, err := l.s.caps()
	if err != nil {
		return err
	}
	l.config.Caps, l.config.NoNewPrivs = caps, l.s.NoNewPrivs
	if l.s.Insecure {
		return nil
	}
	if !l.s.OpenSystem {
		l.config.Masked = append(append([]string(nil), masked...), throttlePaths()...)
		l.config.Readonly = readonlyPaths
	}
	switch l.s.Seccomp {
	case "":
		l.config.Seccomp, err = l.r.filters.of(caps)
	case Unconfined:
	default:
		var f seccomp.Filter
		if f, err = seccomp.Load(l.s.Seccomp, capList(caps)); err == nil {
			l.config.Seccomp = f.Bytes()
		}
	}
	return err
}

// filters keeps compiled seccomp filters by capability set.
type filters struct {
	mu sync.Mutex
	m  map[uint64][]byte
}

func (f *filters) of(caps uint64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.m[caps]; ok {
		return b, nil
	}
	filter, err := seccomp.Default(capList(caps))
	if err != nil {
		return nil, err
	}
	if f.m == nil {
		f.m = make(map[uint64][]byte)
	}
	f.m[caps] = filter.Bytes()
	return f.m[caps], nil
}

// caps are the capabilities of s: docker's, minus CapDrop, plus CapAdd; ALL is
// each. Dropping ALL and adding some leaves those.
func (s *Spec) caps() (uint64, error) {
	if s.Insecure {
		return allCaps(), nil
	}
	drop, dropAll, err := capSet(s.CapDrop)
	if err != nil {
		return 0, err
	}
	add, addAll, err := capSet(s.CapAdd)
	if err != nil {
		return 0, err
	}
	caps := uint64(defaultCaps)
	if addAll {
		caps = allCaps()
	}
	if dropAll {
		caps = 0
	}
	caps &^= drop
	if !addAll {
		caps |= add
	}
	return caps & allCaps(), nil
}

// capSet reads names such as "NET_ADMIN" or "cap_net_admin".
func capSet(names []string) (set uint64, all bool, err error) {
	for _, n := range names {
		name := strings.ToLower(n)
		if name == "all" {
			all = true
			continue
		}
		c, ok := capNames()[strings.TrimPrefix(name, "cap_")]
		if !ok {
			return 0, false, fmt.Errorf("capability %q: %w", n, errs.ErrInvalid)
		}
		set |= c
	}
	return set, all, nil
}

// capNames maps "net_admin" to its bit.
var capNames = sync.OnceValue(func() map[string]uint64 {
	m := make(map[string]uint64)
	for _, c := range capability.ListKnown() {
		m[c.String()] = 1 << uint(c)
	}
	return m
})

// capList are the names of caps as runtimes spell them, "CAP_CHOWN".
func capList(caps uint64) []string {
	names := make([]string, 0, bits.OnesCount64(caps))
	for _, c := range capability.ListKnown() {
		if caps&(1<<uint(c)) != 0 {
			names = append(names, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return names
}
