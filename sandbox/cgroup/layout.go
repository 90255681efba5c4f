//go:build linux

package cgroup

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A layout is where the hierarchies are mounted.
type layout struct {
	v2          string            // mount point of cgroup2, "" for none
	controllers []string          // that v2 offers
	v1          map[string]string // mount point by controller
}

// pureV2 says that there is v2 and nothing else.
func (l *layout) pureV2() bool { return l.v2 != "" && len(l.v1) == 0 }

func readLayout() (*layout, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	l := parseMountinfo(data)
	if l.v2 != "" {
		if b, err := os.ReadFile(filepath.Join(l.v2, "cgroup.controllers")); err == nil {
			l.controllers = strings.Fields(string(b))
		}
	}
	return l, nil
}

// parseMountinfo finds the cgroup mounts in a /proc/PID/mountinfo (proc(5)).
func parseMountinfo(data []byte) *layout {
	l := &layout{v1: map[string]string{}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch point := unescape(f[4]); g[0] {
		case "cgroup2":
			if l.v2 == "" {
				l.v2 = point
			}
		case "cgroup":
			for _, o := range strings.Split(g[2], ",") {
				if slices.Contains([]string{"memory", "cpu", "cpuset", "pids", "devices"}, o) && l.v1[o] == "" {
					l.v1[o] = point
				}
			}
		}
	}
	return l
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
