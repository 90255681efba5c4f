package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	mica  string
	n     int
	dir   string
	keep  bool
	list  bool
	sizes sizes
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.mica, "mica", "bin/mica", "the mica to time")
	flag.IntVar(&o.n, "n", 5, "runs of each tool in each workload")
	flag.StringVar(&o.dir, "dir", "", "where inputs and mica's store go (default a temporary directory)")
	flag.BoolVar(&o.keep, "keep", false, "leave inputs and store behind")
	flag.BoolVar(&o.list, "list", false, "list the workloads and the tools")
	flag.IntVar(&o.sizes.contextFiles, "context", 10_000, "files of the context of noop and edit1")
	flag.IntVar(&o.sizes.treeFiles, "tree", 20_000, "files of the tree that multistage copies")
	flag.IntVar(&o.sizes.copyMiB, "copy", 256, "MiB that bigcopy copies")
	flag.Parse()
	chosen, err := choose(workloads(), flag.Args())
	if err != nil {
		return err
	}
	dir, cleanup, err := o.workDir()
	if err != nil {
		return err
	}
	defer cleanup()
	tools, err := findTools(ctx, o.mica, filepath.Join(dir, "store"))
	if err != nil {
		return err
	}
	if o.list {
		printList(chosen, tools)
		return nil
	}
	return o.measure(ctx, dir, chosen, tools)
}

// workDir is where everything is made.
func (o *options) workDir() (dir string, cleanup func(), err error) {
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return "", nil, err
		}
	}
	dir, err = os.MkdirTemp(o.dir, "mica-bench-")
	if err != nil {
		return "", nil, err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "inputs and store:", dir)
		return dir, func() {}, nil
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// choose picks the workloads that are named, or all of them.
func choose(all []workload, names []string) ([]workload, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []workload
	for _, n := range names {
		i := slices.IndexFunc(all, func(w workload) bool { return w.name == n })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q; -list shows them", n)
		}
		out = append(out, all[i])
	}
	return out, nil
}

func printList(list []workload, tools []tool) {
	for _, w := range list {
		fmt.Printf("%-12s %s\n", w.name, w.about)
	}
	fmt.Print("\ntools here:")
	for _, t := range tools {
		fmt.Print(" ", t.name)
	}
	fmt.Println()
}

// measure runs all and prints a line for each tool and workload.
func (o *options) measure(ctx context.Context, dir string, list []workload, tools []tool) error {
	base, err := makeBase(filepath.Join(dir, "base"))
	if err != nil {
		return err
	}
	defer removeImages(tools, list)
	fmt.Printf("%-12s %-10s %9s %9s %7s %8s\n", "WORKLOAD", "TOOL", "MEDIAN s", "LEAST s", "RATIO", "PEAK MiB")
	failed := func(t tool, err error) { fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", t.name, err) }
	for _, w := range list {
		in := filepath.Join(dir, w.name)
		if err := w.prepare(in, base, o.sizes); err != nil {
			return fmt.Errorf("%s: make input: %w", w.name, err)
		}
		results, err := w.run(ctx, in, tools, o.n, failed)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		printTimes(w.name, tools, results)
		if err := os.RemoveAll(in); err != nil {
			return err
		}
	}
	return nil
}

// errNoBusybox says what the inputs are made of.
var errNoBusybox = errors.New("needs a static busybox: apt-get install busybox-static")
