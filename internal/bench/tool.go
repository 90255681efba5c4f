package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A tool builds Dockerfiles and perhaps runs images.
type tool struct {
	name   string
	env    []string
	daemon string // the process that does the work, "" if it is the command itself
	// build and run give command lines; run is nil where the tool has none.
	build  func(dir, tag string, noCache bool) []string
	run    func(tag string) []string
	remove func(tag string) []string
}

// findTools lists mica and the peers that work on this machine.
func findTools(ctx context.Context, mica, store string) ([]tool, error) {
	mica, err := filepath.Abs(mica)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(mica); err != nil {
		return nil, fmt.Errorf("no mica to time: %w", err)
	}
	tools := []tool{micaTool(mica, store)}
	if works(ctx, "docker", "info") {
		tools = append(tools, dockerTool())
	}
	if works(ctx, "buildah", "version") {
		tools = append(tools, buildahTool())
	}
	if works(ctx, "buildctl", "debug", "workers") {
		tools = append(tools, buildctlTool())
	}
	return tools, nil
}

func works(ctx context.Context, args ...string) bool {
	return exec.CommandContext(ctx, args[0], args[1:]...).Run() == nil
}

func noCacheFlag(noCache bool, args ...string) []string {
	if noCache {
		return append(args, "--no-cache")
	}
	return args
}

func micaTool(bin, store string) tool {
	return tool{
		name: "mica", env: []string{"MICA_ROOT=" + store},
		build: func(dir, tag string, noCache bool) []string {
			return append(noCacheFlag(noCache, bin, "build", "--progress=plain", "-t", tag), dir)
		},
		run:    func(tag string) []string { return []string{bin, "run", "--rm", tag, "true"} },
		remove: func(tag string) []string { return []string{bin, "rmi", tag} },
	}
}

func dockerTool() tool {
	return tool{
		name: "docker", env: []string{"DOCKER_BUILDKIT=1"}, daemon: "dockerd",
		build: func(dir, tag string, noCache bool) []string {
			return append(noCacheFlag(noCache, "docker", "build", "-t", tag), dir)
		},
		run:    func(tag string) []string { return []string{"docker", "run", "--rm", tag, "true"} },
		remove: func(tag string) []string { return []string{"docker", "rmi", "-f", tag} },
	}
}

func buildahTool() tool {
	return tool{
		name: "buildah",
		build: func(dir, tag string, noCache bool) []string {
			return append(noCacheFlag(noCache, "buildah", "build", "--layers", "-t", tag), dir)
		},
		remove: func(tag string) []string { return []string{"buildah", "rmi", "-f", tag} },
	}
}

func buildctlTool() tool {
	return tool{
		name: "buildctl", daemon: "buildkitd",
		build: func(dir, tag string, noCache bool) []string {
			return noCacheFlag(noCache, "buildctl", "build", "--frontend", "dockerfile.v0", "--progress=plain",
				"--local", "context="+dir, "--local", "dockerfile="+dir, "--output", "type=image,name=docker.io/library/"+tag)
		},
	}
}

// A result is what one run of a tool took.
type result struct {
	seconds float64
	peak    int64 // bytes of memory that the command, or its daemon so far, had at most
}

// time runs a command line.
func (t tool) time(ctx context.Context, args []string) (result, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	start := time.Now()
	err := t.start(cmd)
	r := result{seconds: time.Since(start).Seconds()}
	if err != nil {
		return r, err
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = u.Maxrss << 10 // KiB on Linux
	}
	r.peak = max(r.peak, peakOf(t.daemon))
	return r, nil
}

// execute runs a command line; what it printed is in the error if it fails.
func (t tool) execute(ctx context.Context, args []string) error {
	return t.start(exec.CommandContext(ctx, args[0], args[1:]...))
}

func (t tool) start(cmd *exec.Cmd) error {
	cmd.Env = append(os.Environ(), t.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, &out)
	}
	return nil
}

// peakOf is the most memory that processes called name have had, in bytes; 0 if there
// are none.
func peakOf(name string) int64 {
	if name == "" {
		return 0
	}
	var sum int64
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(raw, []byte("Name:\t"+name+"\n")) {
			continue
		}
		_, rest, ok := bytes.Cut(raw, []byte("VmHWM:"))
		var kib int64
		if _, err := fmt.Fscan(bytes.NewReader(rest), &kib); ok && err == nil {
			sum += kib << 10
		}
	}
	return sum
}

// removeImages removes what the workloads left with the tools.
func removeImages(tools []tool, list []workload) {
	for _, t := range tools {
		for _, w := range list {
			if t.remove != nil {
				_ = t.execute(context.Background(), t.remove(w.tag())) // it may never have been built
			}
		}
	}
}
