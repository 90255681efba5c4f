package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A workload is one thing to build, or run, again and again.
type workload struct {
	name, about string
	// prepare makes the context in dir; base holds a busybox to build from.
	prepare func(dir, base string, s sizes) error
	// warm builds once before the clock starts.
	warm bool
	// noCache builds every step anew each time.
	noCache bool
	// edit changes the context before run i; nil leaves it alone.
	edit func(dir string, i int) error
	// runs times running the image, which is built once, rather than building it.
	runs bool
}

func workloads() []workload {
	return []workload{
		{name: "noop", about: "rebuild of 20 steps with nothing changed", prepare: prepareApp, warm: true},
		{name: "edit1", about: "the same with one small file changed", prepare: prepareApp, warm: true, edit: editApp},
		{name: "run10", about: "ten RUN steps that write a small file each, without cache", prepare: prepareRun10, noCache: true},
		{name: "parallel", about: "four stages of one second sleep each, then COPY from all", prepare: prepareParallel, noCache: true},
		{name: "multistage", about: "COPY --from of a tree of many small files, without cache", prepare: prepareMultistage, noCache: true},
		{name: "bigcopy", about: "COPY of much data, without cache", prepare: prepareBigCopy, noCache: true},
		{name: "runtrue", about: "run --rm IMAGE true", prepare: prepareBusybox, runs: true},
	}
}

// tag is the name of the workload's image.
func (w workload) tag() string { return "mica-bench-" + w.name }

// run gives the seconds of each tool, in the order of tools; none for a tool
// that cannot do it.
func (w workload) run(ctx context.Context, dir string, tools []tool, n int) ([][]float64, error) {
	times := make([][]float64, len(tools))
	if w.warm || w.runs {
		for _, t := range tools {
			if err := t.execute(ctx, t.build(dir, w.tag(), false)); err != nil {
				return nil, err
			}
		}
	}
	for i := range n {
		for j, t := range tools {
			args := t.build(dir, w.tag(), w.noCache)
			if w.runs {
				if t.run == nil {
					continue
				}
				args = t.run(w.tag())
			}
			if w.edit != nil {
				if err := w.edit(dir, i*len(tools)+j); err != nil {
					return nil, err
				}
			}
			start := time.Now()
			if err := t.execute(ctx, args); err != nil {
				return nil, err
			}
			times[j] = append(times[j], time.Since(start).Seconds())
		}
	}
	return times, nil
}

// editApp changes one file of what prepareApp made.
func editApp(dir string, i int) error {
	return os.WriteFile(filepath.Join(dir, "src", "edited.txt"), fmt.Appendf(nil, "edit %d\n", i), 0o644)
}
