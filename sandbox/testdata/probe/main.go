// Probe prints what a sandboxed process sees, to compare runtimes.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "call" {
		call(os.Args[2])
	}
	for _, what := range os.Args[1:] {
		probes[what]()
	}
}

var probes = map[string]func(){
	"status": status, "mounts": mounts, "dev": dev, "paths": paths, "open": open, "calls": calls, "attacks": attacks,
	"keyring": func() {
		id, _, e := syscall.Syscall(syscall.SYS_KEYCTL, 0, ^uintptr(2), 0) // KEYCTL_GET_KEYRING_ID of the session's
		fmt.Println(int32(id), e)
	},
}

func status() {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		for _, key := range []string{"Uid:", "Gid:", "Groups:", "Umask:", "Cap", "NoNewPrivs:", "Seccomp:"} {
			if strings.HasPrefix(line, key) {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	os.Stdout.Write(limits)
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	fmt.Println("hostname", host, "dir", dir, "pid", os.Getpid(), "ppid", os.Getppid())
	fmt.Println("env", os.Environ())
	for _, f := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		data, err := os.ReadFile(f)
		fmt.Printf("%s %q %v\n", f, data, err)
		fmt.Println(os.WriteFile(f, nil, 0))
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	open := []string{}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.Contains(to, "anon_inode") && !strings.HasPrefix(to, "/proc/") {
			open = append(open, fd.Name())
		}
	}
	fmt.Println("open files", open)
}

func mounts() {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		opts := strings.Split(g[2], ",")
		sort.Strings(opts)
		fmt.Println(f[4], f[5], "propagation", f[6:], g[0], strings.Join(opts, ","))
	}
}

func dev() {
	filepath.Walk("/dev", func(p string, fi os.FileInfo, err error) error {
		if err != nil {
			fmt.Println(p, err)
			return nil
		}
		st := fi.Sys().(*syscall.Stat_t)
		to, _ := os.Readlink(p)
		fmt.Println(p, fi.Mode(), st.Uid, st.Gid, st.Rdev>>8, st.Rdev&0xff, to)
		return nil
	})
}

// paths tries to read and to write what is masked or read-only.
func paths() {
	for _, p := range os.Environ() {
		p, ok := strings.CutPrefix(p, "PROBE_PATHS=")
		if !ok {
			continue
		}
		for _, p := range strings.Split(p, ":") {
			fi, err := os.Stat(p)
			if err != nil {
				fmt.Println(p, err)
				continue
			}
			if fi.IsDir() {
				entries, err := os.ReadDir(p)
				fmt.Println(p, fi.Mode(), len(entries) == 0, err, os.WriteFile(p+"/mica-probe", nil, 0o600))
				continue
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err == nil {
				f.Close()
			}
			data, rerr := os.ReadFile(p)
			fmt.Println(p, fi.Mode(), len(data) == 0, rerr, err)
		}
	}
	for _, p := range []string{"/proc/sys/kernel/hostname", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/self/oom_score_adj"} {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		fmt.Println("write", p, err)
		if err == nil {
			f.Close()
		}
	}
}

// open makes device nodes and opens them.
func open() {
	for _, d := range []struct {
		mode         uint32
		major, minor int
	}{
		{syscall.S_IFCHR, 1, 1}, {syscall.S_IFCHR, 1, 3}, {syscall.S_IFCHR, 1, 5}, {syscall.S_IFCHR, 1, 7}, {syscall.S_IFCHR, 1, 8},
		{syscall.S_IFCHR, 1, 9}, {syscall.S_IFCHR, 1, 11}, {syscall.S_IFCHR, 4, 0}, {syscall.S_IFCHR, 5, 0}, {syscall.S_IFCHR, 5, 1},
		{syscall.S_IFCHR, 5, 2}, {syscall.S_IFCHR, 10, 229}, {syscall.S_IFBLK, 7, 0}, {syscall.S_IFBLK, 254, 0}, {syscall.S_IFBLK, 1, 3},
	} {
		name := "/tmp/node"
		merr := syscall.Mknod(name, d.mode|0o666, d.major<<8|d.minor)
		f, oerr := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if oerr == nil {
			f.Close()
		}
		os.Remove(name)
		fmt.Println(d, merr, oerr)
	}
}

// calls makes every system call without arguments, each in a process of its own.
func calls() {
	for nr := range 500 {
		if nr == 162 { // sync waits for every disk
			continue
		}
		c := exec.Command("/proc/self/exe", "call", strconv.Itoa(nr))
		var out bytes.Buffer
		c.Stdout = &out
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			fmt.Println(nr, err)
			continue
		}
		timer := time.AfterFunc(150*time.Millisecond, func() { c.Process.Kill() })
		c.Wait()
		timer.Stop()
		answer := strings.TrimSpace(out.String())
		if answer == "" {
			answer = "allowed" // it blocked, ended the process or broke it
		}
		fmt.Println(nr, answer)
	}
}

func call(s string) {
	nr, _ := strconv.Atoi(s)
	runtime.LockOSThread()
	_, _, e := syscall.RawSyscall6(uintptr(nr), 0, 0, 0, 0, 0, 0)
	answer := "allowed"
	switch e {
	case syscall.EPERM:
		answer = "EPERM"
	case syscall.ENOSYS:
		answer = "ENOSYS"
	}
	os.Stdout.WriteString(answer)
	os.Exit(0)
}
