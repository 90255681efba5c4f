package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// run gives what each tool took, in the order of tools; nothing for a tool that cannot
// do it. One that fails is told of and left out; mica, the first, may not fail.
func (w workload) run(ctx context.Context, dir string, tools []tool, n int, failed func(tool, error)) ([][]result, error) {
	results := make([][]result, len(tools))
	out := make([]bool, len(tools))
	fails := func(j int, err error) error {
		if j == 0 || ctx.Err() != nil {
			return err
		}
		failed(tools[j], err)
		results[j], out[j] = nil, true
		return nil
	}
	if w.warm || w.runs {
		for j, t := range tools {
			if err := t.execute(ctx, t.build(dir, w.tag(), false)); err != nil {
				if err := fails(j, err); err != nil {
					return nil, err
				}
			}
		}
	}
	for i := range n {
		for j, t := range tools {
			if out[j] || w.runs && t.run == nil {
				continue
			}
			args := t.build(dir, w.tag(), w.noCache)
			if w.runs {
				args = t.run(w.tag())
			}
			if w.edit != nil {
				if err := w.edit(dir, i*len(tools)+j); err != nil {
					return nil, err
				}
			}
			r, err := t.time(ctx, args)
			if err != nil {
				if err := fails(j, err); err != nil {
					return nil, err
				}
				continue
			}
			results[j] = append(results[j], r)
		}
	}
	return results, nil
}

// editApp changes one file of what prepareApp made.
func editApp(dir string, i int) error {
	return os.WriteFile(filepath.Join(dir, "src", "edited.txt"), fmt.Appendf(nil, "edit %d\n", i), 0o644)
}
