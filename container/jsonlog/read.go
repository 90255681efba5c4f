package jsonlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// An Entry is one line of output.
type Entry struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// ReadOptions say which entries are wanted.
type ReadOptions struct {
	// Tail is how many entries of the end are wanted; less than 0 is all.
	Tail int
	// Since and Until bound the time; the zero time does not.
	Since, Until time.Time
	// Follow waits for more until Ended says that there will be none.
	Follow bool
	// Ended says whether nobody writes any more. It is needed with Follow.
	Ended func() bool
}

// followEvery is how often a log that does not grow is looked at.
const followEvery = 50 * time.Millisecond

// Read gives the entries of the log at path to emit, oldest first. A log that is not
// there is empty. Lines that are no entries, such as one cut by a full disk, are left out.
func Read(ctx context.Context, path string, o ReadOptions, emit func(Entry) error) error {
	files, err := openAll(path)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err := seekTail(files, o.Tail); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	r := &reader{o: o, emit: emit}
	for i, f := range files {
		if i == len(files)-1 && o.Follow {
			break
		}
		if err := r.all(ctx, f); err != nil {
			return endOf(err)
		}
	}
	if !o.Follow {
		return nil
	}
	return endOf(r.follow(ctx, path, files))
}

// errPast says that entries are past Until.
var errPast = errors.New("past the time that is wanted")

func endOf(err error) error {
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

// openAll opens the files of a log, the oldest first.
func openAll(path string) ([]*os.File, error) {
	var files []*os.File
	for i := 0; ; i++ {
		f, err := os.Open(numbered(path, i))
		if errors.Is(err, fs.ErrNotExist) {
			return files, nil
		}
		if err != nil {
			return files, err
		}
		files = append([]*os.File{f}, files...)
	}
}

// seekTail puts each file where the last n lines begin.
func seekTail(files []*os.File, n int) error {
	if n < 0 {
		return nil
	}
	for i := len(files) - 1; i >= 0; i-- {
		found, err := seekLines(files[i], n)
		if err != nil {
			return err
		}
		n -= found
	}
	return nil
}

// seekLines goes to the n-th line from the end, or the beginning, and says how many lines
// follow.
func seekLines(f *os.File, n int) (int, error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	lines := -1 // the newline at the end begins no line
	for at > 0 {
		size := min(int64(len(buf)), at)
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil {
			return 0, err
		}
		for i := size - 1; i >= 0; i-- {
			if buf[i] != '\n' {
				if lines < 0 {
					lines = 0 // the last line has no end
				}
				continue
			}
			if lines++; lines == n {
				_, err := f.Seek(at+i+1, io.SeekStart)
				return n, err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return lines + 1, err
}

// A reader turns lines into entries.
type reader struct {
	o    ReadOptions
	emit func(Entry) error
	part []byte
}

// all reads a file to its end.
func (r *reader) all(ctx context.Context, f *os.File) error {
	b := bufio.NewReaderSize(f, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			r.part = append(r.part, line...)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if len(r.part) > 0 {
			line = append(r.part, line...)
			r.part = nil
		}
		if err := r.line(line); err != nil {
			return err
		}
	}
}

func (r *reader) line(line []byte) error {
	var e Entry
	if err := json.Unmarshal(bytes.TrimRight(line, "\n"), &e); err != nil {
		return nil //nolint:nilerr // half a line is no entry
	}
	if !r.o.Since.IsZero() && e.Time.Before(r.o.Since) {
		return nil
	}
	if !r.o.Until.IsZero() && e.Time.After(r.o.Until) {
		return errPast
	}
	return r.emit(e)
}

// follow reads the newest file, and those that come after it, until nobody writes.
func (r *reader) follow(ctx context.Context, path string, files []*os.File) error {
	var f *os.File
	if len(files) > 0 {
		f = files[len(files)-1]
	}
	for {
		ended := r.o.Ended() // before reading, so that nothing is missed
		if f == nil {
			f, _ = os.Open(path)
		}
		if f != nil {
			if err := r.all(ctx, f); err != nil {
				return err
			}
			next, err := rotated(path, f)
			if err != nil {
				return err
			}
			if next != nil {
				err := r.all(ctx, f) // what came between
				f.Close()
				if f, r.part = next, nil; err != nil {
					f.Close()
					return err
				}
				continue
			}
		}
		if ended || !r.o.Until.IsZero() && time.Now().After(r.o.Until) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(followEvery):
		}
	}
}

// rotated opens the file that is at path now, if it is another one than f.
func rotated(path string, f *os.File) (*os.File, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	st, err := f.Stat()
	if err != nil || os.SameFile(now, st) {
		return nil, err
	}
	return os.Open(path)
}
