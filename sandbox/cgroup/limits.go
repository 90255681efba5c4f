//go:build linux

package cgroup

import "strconv"

// Limits are what a group may use; zero means no limit.
type Limits struct {
	Memory     int64 // bytes
	MemorySwap int64 // memory plus swap in bytes; -1 unlimited swap
	CPUShares  uint64
	CPUPeriod  uint64 // microseconds
	CPUQuota   int64  // microseconds
	CpusetCPUs string // "0-3,5"
	CpusetMems string
	PidsLimit  int64
}

// A setting is one file of one controller.
type setting struct{ controller, file, value string }

// v2 are the settings for cgroup v2.
func (l *Limits) v2() []setting {
	var s []setting
	add := func(controller, file, value string) { s = append(s, setting{controller, file, value}) }
	if l.Memory > 0 {
		add("memory", "memory.max", strconv.FormatInt(l.Memory, 10))
	}
	switch {
	case l.MemorySwap < 0:
		add("memory", "memory.swap.max", "max")
	case l.MemorySwap > 0:
		add("memory", "memory.swap.max", strconv.FormatInt(max(0, l.MemorySwap-l.Memory), 10))
	}
	if l.CPUShares > 0 {
		add("cpu", "cpu.weight", strconv.FormatUint(weight(l.CPUShares), 10))
	}
	if l.CPUQuota != 0 || l.CPUPeriod != 0 {
		quota := "max"
		if l.CPUQuota > 0 {
			quota = strconv.FormatInt(l.CPUQuota, 10)
		}
		if l.CPUPeriod > 0 {
			quota += " " + strconv.FormatUint(l.CPUPeriod, 10)
		}
		add("cpu", "cpu.max", quota)
	}
	if l.CpusetCPUs != "" {
		add("cpuset", "cpuset.cpus", l.CpusetCPUs)
	}
	if l.CpusetMems != "" {
		add("cpuset", "cpuset.mems", l.CpusetMems)
	}
	if l.PidsLimit != 0 {
		add("pids", "pids.max", pids(l.PidsLimit))
	}
	return s
}

// v1 are the settings for cgroup v1, in the order they have to be made.
func (l *Limits) v1() []setting {
	var s []setting
	add := func(controller, file, value string) { s = append(s, setting{controller, file, value}) }
	if l.Memory > 0 {
		add("memory", "memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
	}
	if l.MemorySwap != 0 {
		add("memory", "memory.memsw.limit_in_bytes", strconv.FormatInt(l.MemorySwap, 10))
	}
	if l.CPUShares > 0 {
		add("cpu", "cpu.shares", strconv.FormatUint(l.CPUShares, 10))
	}
	if l.CPUPeriod > 0 {
		add("cpu", "cpu.cfs_period_us", strconv.FormatUint(l.CPUPeriod, 10))
	}
	if l.CPUQuota != 0 {
		add("cpu", "cpu.cfs_quota_us", strconv.FormatInt(l.CPUQuota, 10))
	}
	if l.CpusetCPUs != "" {
		add("cpuset", "cpuset.cpus", l.CpusetCPUs)
	}
	if l.CpusetMems != "" {
		add("cpuset", "cpuset.mems", l.CpusetMems)
	}
	if l.PidsLimit != 0 {
		add("pids", "pids.max", pids(l.PidsLimit))
	}
	return s
}

func pids(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// weight maps shares (2 to 262144) to weights (1 to 10000) as runc does.
func weight(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}
