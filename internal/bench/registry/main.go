package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
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

func run(ctx context.Context) error {
	var p programs
	flag.StringVar(&p.mica, "mica", "bin/mica", "the mica to time")
	flag.StringVar(&p.zot, "zot", "zot", "zot's program")
	flag.StringVar(&p.distribution, "distribution", "registry", "distribution's program")
	rounds := flag.Int("n", 3, "rounds of each workload")
	dir := flag.String("dir", "", "where the servers keep their files (default a temporary directory)")
	tags := flag.Int("tags", 10_000, "tags of the repository that is listed")
	list := flag.Bool("list", false, "list the workloads")
	flag.Parse()
	all := workloads(*tags)
	if *list {
		for _, w := range all {
			fmt.Printf("%-14s %s\n", w.name, w.about)
		}
		return nil
	}
	work, err := os.MkdirTemp(*dir, "mica-bench-registry-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	servers, err := p.start(ctx, work)
	defer stopAll(servers)
	if err != nil {
		return err
	}
	fmt.Printf("%-14s %-13s %12s %12s %7s %9s\n", "WORKLOAD", "SERVER", "BEST", "MEDIAN", "RATIO", "CPU s")
	for _, w := range all {
		if names := flag.Args(); len(names) > 0 && !slices.Contains(names, w.name) {
			continue
		}
		if err := w.measure(ctx, servers, *rounds); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for _, s := range servers {
		fmt.Printf("%-14s %-13s %9.1f MiB\n", "memory", s.name, s.peakMemory())
	}
	return nil
}
