package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// programs are the servers' files.
type programs struct{ mica, zot, distribution string }

// A server is one that runs.
type server struct {
	name, addr string
	cmd        *exec.Cmd
	ready      map[string]bool // what was prepared in it
}

// start starts those that are there.
func (p programs) start(ctx context.Context, dir string) ([]*server, error) {
	var all []*server
	for _, one := range []struct {
		name, program string
		args          func(dir, addr string) ([]string, error)
	}{
		{"mica", p.mica, micaArgs},
		{"zot", p.zot, zotArgs},
		{"distribution", p.distribution, distributionArgs},
	} {
		program, err := exec.LookPath(one.program)
		if err != nil {
			if one.name == "mica" {
				return all, fmt.Errorf("no mica to time: %w", err)
			}
			fmt.Fprintf(os.Stderr, "without %s: %v\n", one.name, err)
			continue
		}
		s, err := start(ctx, one.name, program, filepath.Join(dir, one.name), one.args)
		if s != nil {
			all = append(all, s)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func start(ctx context.Context, name, program, dir string, args func(dir, addr string) ([]string, error)) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	list, err := args(dir, addr)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{name: name, addr: addr, cmd: exec.CommandContext(ctx, program, list...), ready: map[string]bool{}}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.wait()
}

// wait waits until the server answers.
func (s *server) wait() error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + s.addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("%s does not answer", s.name)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func stopAll(servers []*server) {
	for _, s := range servers {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		done := time.AfterFunc(5*time.Second, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait()
		done.Stop()
	}
}

func micaArgs(dir, addr string) ([]string, error) {
	return []string{"registry", "serve", "--addr", addr, "--root", filepath.Join(dir, "data")}, nil
}

func zotArgs(dir, addr string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`{"distSpecVersion":"1.1.1","storage":{"rootDirectory":%q,"gc":false,"dedupe":true},
"http":{"address":%q,"port":%q},"log":{"level":"error"}}`, filepath.Join(dir, "data"), host, port)
	file := filepath.Join(dir, "config.json")
	return []string{"serve", file}, os.WriteFile(file, []byte(config), 0o644)
}

func distributionArgs(dir, addr string) ([]string, error) {
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
`, filepath.Join(dir, "data"), addr)
	file := filepath.Join(dir, "config.yml")
	return []string{"serve", file}, os.WriteFile(file, []byte(config), 0o644)
}

// cpu is the processor time that the server has taken, in seconds.
func (s *server) cpu() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return float64(user+system) / 100
}

// peakMemory is the largest resident memory of the server, in MiB.
func (s *server) peakMemory() float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(v)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}
