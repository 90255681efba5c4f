package cli

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// minMemory is the least memory limit docker accepts.
const minMemory = 6 << 20

// defaultCPUPeriod is the kernel's, in microseconds.
const defaultCPUPeriod = 100_000

// limitFlags are the resource flags that build and run share, as typed.
type limitFlags struct {
	memory, memorySwap, shmSize string
	cpus                        string
	cpuShares, cpuPeriod        uint64
	cpuQuota                    int64
	cpusetCPUs, cpusetMems      string
	cgroupParent                string
	ulimits                     []string
}

// limits are the resource flags, read.
type limits struct {
	resources    sandbox.Resources
	shmSize      int64 // bytes; 0 is the default
	cgroupParent string
	ulimits      []*units.Ulimit
}

func (l *limitFlags) addTo(f *pflag.FlagSet) {
	f.StringVarP(&l.memory, "memory", "m", "", "memory limit, as in 512m")
	f.StringVar(&l.memorySwap, "memory-swap", "", "limit of memory plus swap; -1 for unlimited swap")
	f.StringVar(&l.shmSize, "shm-size", "", "size of /dev/shm (default 64m)")
	f.StringVar(&l.cpus, "cpus", "", "number of CPUs, as in 1.5")
	f.Uint64VarP(&l.cpuShares, "cpu-shares", "c", 0, "CPU shares (relative weight)")
	f.Uint64Var(&l.cpuPeriod, "cpu-period", 0, "period of the CPU limit in microseconds")
	f.Int64Var(&l.cpuQuota, "cpu-quota", 0, "CPU time in each period in microseconds")
	f.StringVar(&l.cpusetCPUs, "cpuset-cpus", "", "CPUs that may be used, as in 0-3,5")
	f.StringVar(&l.cpusetMems, "cpuset-mems", "", "memory nodes that may be used, as in 0-3,5")
	f.StringVar(&l.cgroupParent, "cgroup-parent", "", "parent of the control group")
	f.StringArrayVar(&l.ulimits, "ulimit", nil, "resource limit, `name=soft[:hard]`")
}

// parse reads the flags. Errors match errs.ErrInvalid.
func (l *limitFlags) parse() (limits, error) {
	out := limits{cgroupParent: l.cgroupParent}
	r := &out.resources
	r.CPUShares, r.CPUPeriod, r.CPUQuota = l.cpuShares, l.cpuPeriod, l.cpuQuota
	r.CpusetCPUs, r.CpusetMems = l.cpusetCPUs, l.cpusetMems
	err := firstError(
		func() (err error) { out.shmSize, err = parseSize("shm-size", l.shmSize); return err },
		func() error { return l.parseMemory(r) },
		func() error { return l.parseCPUs(r) },
		func() error { return checkSet("cpuset-cpus", l.cpusetCPUs) },
		func() error { return checkSet("cpuset-mems", l.cpusetMems) },
		func() (err error) { out.ulimits, err = parseUlimits(l.ulimits); return err },
	)
	return out, err
}

func (l *limitFlags) parseMemory(r *sandbox.Resources) (err error) {
	if r.Memory, err = parseSize("memory", l.memory); err != nil {
		return err
	}
	if r.Memory != 0 && r.Memory < minMemory {
		return fmt.Errorf("--memory %s: %w: the least is 6m", l.memory, errs.ErrInvalid)
	}
	if l.memorySwap == "-1" {
		r.MemorySwap = -1
	} else if r.MemorySwap, err = parseSize("memory-swap", l.memorySwap); err != nil {
		return err
	}
	switch {
	case r.MemorySwap > 0 && r.Memory == 0:
		return fmt.Errorf("--memory-swap %s: %w without --memory", l.memorySwap, errs.ErrInvalid)
	case r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return fmt.Errorf("--memory-swap %s: %w: it counts memory too, and is less than --memory", l.memorySwap, errs.ErrInvalid)
	}
	return nil
}

func (l *limitFlags) parseCPUs(r *sandbox.Resources) error {
	if l.cpus == "" {
		return nil
	}
	if l.cpuQuota != 0 || l.cpuPeriod != 0 {
		return fmt.Errorf("--cpus %s: %w together with --cpu-quota or --cpu-period", l.cpus, errs.ErrInvalid)
	}
	n, err := strconv.ParseFloat(l.cpus, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 1<<20 {
		return fmt.Errorf("--cpus %q: %w: it is a number such as 1.5", l.cpus, errs.ErrInvalid)
	}
	if n == 0 { // docker: no limit
		return nil
	}
	r.CPUPeriod = defaultCPUPeriod
	r.CPUQuota = max(1000, int64(n*defaultCPUPeriod)) // the kernel takes no less than 1 ms
	return nil
}

// parseSize reads a size in bytes with an optional unit; "" is 0.
func parseSize(flag, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--%s %q: %w: it is a size such as 512m or 2g", flag, s, errs.ErrInvalid)
	}
	return n, nil
}

// checkSet checks a list of numbers and ranges, as in 0-3,5.
func checkSet(flag, s string) error {
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 16)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || b < a {
			return fmt.Errorf("--%s %q: %w: it is a list such as 0-3,5", flag, s, errs.ErrInvalid)
		}
	}
	return nil
}

// parseUlimits reads --ulimit; a limit given twice counts as given last.
func parseUlimits(list []string) ([]*units.Ulimit, error) {
	var out []*units.Ulimit
	at := map[string]int{}
	for _, s := range list {
		u, err := units.ParseUlimit(s)
		if err != nil {
			return nil, fmt.Errorf("--ulimit %q: %w: %w", s, errs.ErrInvalid, err)
		}
		if i, ok := at[u.Name]; ok {
			out[i] = u
			continue
		}
		at[u.Name] = len(out)
		out = append(out, u)
	}
	return out, nil
}

// parseAddHost reads "host:ip", "host=ip", also with the ip in brackets; the ip
// may be host-gateway.
func parseAddHost(s string) (sandbox.HostIP, error) {
	host, ip, ok := strings.Cut(s, "=")
	if !ok {
		host, ip, ok = strings.Cut(s, ":")
	}
	if !ok || host == "" {
		return sandbox.HostIP{}, fmt.Errorf("--add-host %q: %w: it is HOST:IP", s, errs.ErrInvalid)
	}
	if len(ip) > 2 && ip[0] == '[' && ip[len(ip)-1] == ']' {
		ip = ip[1 : len(ip)-1]
	}
	if ip != "host-gateway" {
		if _, err := netip.ParseAddr(ip); err != nil {
			return sandbox.HostIP{}, fmt.Errorf("--add-host %q: %w: %w", s, errs.ErrInvalid, err)
		}
	}
	return sandbox.HostIP{Host: host, IP: ip}, nil
}

// checkCPUs refuses processors that this machine does not have.
func checkCPUs(cpus, set string) error {
	n := runtime.NumCPU()
	if want, err := strconv.ParseFloat(cpus, 64); err == nil && want > float64(n) {
		return fmt.Errorf("--cpus %s: %w: range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", cpus, errs.ErrInvalid, n, n)
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil //nolint:nilerr // the kernel will say it in its own words
	}
	available := strings.TrimSpace(string(online))
	if last, ok := highest(available); ok {
		if want, ok := highest(set); ok && want > last {
			return fmt.Errorf("--cpuset-cpus: %w: requested CPUs are not available - requested %s, available: %s", errs.ErrInvalid, set, available)
		}
	}
	return nil
}

// highest is the last number in a list such as 0-3,5.
func highest(set string) (last uint64, ok bool) {
	for _, s := range strings.FieldsFunc(set, func(r rune) bool { return r == ',' || r == '-' }) {
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			last, ok = max(last, n), true
		}
	}
	return last, ok
}
