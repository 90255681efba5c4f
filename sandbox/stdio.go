//go:build linux

package sandbox

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// stdio is the process's standard streams as seen from outside.
type stdio struct {
	child  []*os.File // given to the process, in the order 0, 1, 2
	owned  []*os.File // those of child to be closed here once it runs
	ours   []*os.File // our ends of those
	copies sync.WaitGroup
	start  []func()
	mu     sync.Mutex
	err    error // the first failure to write what the process wrote
}

// open prepares the streams of s. Without a terminal a nil stream is /dev/null.
func (o *stdio) open(s *Spec) error {
	if s.Terminal {
		null, err := o.null()
		if err != nil {
			return err
		}
		o.child = []*os.File{null, null, null}
		return nil
	}
	in, err := o.input(s.Stdin)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	o.child = append(o.child, in)
	out, err := o.output(s.Stdout)
	if err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	o.child = append(o.child, out)
	if same(s.Stdout, s.Stderr) {
		o.child = append(o.child, out)
		return nil
	}
	e, err := o.output(s.Stderr)
	if err != nil {
		return fmt.Errorf("standard error: %w", err)
	}
	o.child = append(o.child, e)
	return nil
}

// same compares writers, which may be of a type that cannot be compared.
func same(a, b io.Writer) (eq bool) {
	defer func() {
		if recover() != nil {
			eq = false
		}
	}()
	return a != nil && a == b
}

func (o *stdio) null() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	o.owned = append(o.owned, f)
	return f, nil
}

func (o *stdio) input(r io.Reader) (*os.File, error) {
	if r == nil {
		return o.null()
	}
	if f, ok := r.(*os.File); ok {
		return f, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.owned = append(o.owned, pr)
	o.ours = append(o.ours, pw)
	// Nobody waits for this copy: the reader may block for ever.
	o.start = append(o.start, func() {
		go func() {
			io.Copy(pw, r)
			pw.Close()
		}()
	})
	return pr, nil
}

func (o *stdio) output(w io.Writer) (*os.File, error) {
	if w == nil {
		return o.null()
	}
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.owned = append(o.owned, pw)
	o.ours = append(o.ours, pr)
	o.start = append(o.start, func() { o.drain(w, pr) })
	return pw, nil
}

// drain copies what the process writes. When w fails, the rest is thrown away,
// so that the process does not block.
func (o *stdio) drain(w io.Writer, r *os.File) {
	o.copies.Go(func() {
		defer r.Close()
		if _, err := io.Copy(w, r); err != nil {
			o.mu.Lock()
			if o.err == nil {
				o.err = fmt.Errorf("write output: %w", err)
			}
			o.mu.Unlock()
			io.Copy(io.Discard, r)
		}
	})
}

// run starts the copies; the process has its ends.
func (o *stdio) run() {
	o.release()
	for _, f := range o.start {
		f()
	}
}

// release closes the ends that only the process needs.
func (o *stdio) release() {
	for _, f := range o.owned {
		f.Close()
	}
	o.owned = nil
}

// abort closes everything: there is no process.
func (o *stdio) abort() {
	o.release()
	for _, f := range o.ours {
		f.Close()
	}
}

// wait ends when all output is copied; the process must have ended.
func (o *stdio) wait() error {
	o.copies.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// terminal connects the other end of the process's terminal. When the process
// has ended, reading the terminal fails, after the last output.
func (o *stdio) terminal(master *os.File, s *Spec) {
	if s.Stdin != nil {
		go io.Copy(master, s.Stdin)
	}
	w := s.Stdout
	if w == nil {
		w = io.Discard
	}
	o.copies.Go(func() {
		defer master.Close()
		io.Copy(w, master)
	})
}
