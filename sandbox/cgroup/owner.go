//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// owner names this process for ever: its number and when it started.
var owner = sync.OnceValues(func() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d-%s", os.Getpid(), start), nil
})

// alive says whether the maker of a group so named still runs. A name that no
// maker gave is alive: it is not ours.
func alive(name string) bool {
	part := strings.Split(name, "-")
	if len(part) != 3 {
		return true
	}
	pid, err := strconv.Atoi(part[0])
	if err != nil || pid <= 0 {
		return true
	}
	start, err := startTime(pid)
	if os.IsNotExist(err) {
		return false
	}
	return err != nil || start == part[1]
}

// startTime is field 22 of /proc/PID/stat: clock ticks since boot.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything.
	_, rest, ok := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return "", fmt.Errorf("process %d: unexpected stat", pid)
	}
	return f[19], nil
}
