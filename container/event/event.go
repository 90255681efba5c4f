// Package event keeps a record of what happened to containers, for `mica events`.
//
// The record is a file of a store, events.log, with one line of JSON for each event. It is
// kept short: when it has grown to a mebibyte it becomes events.log.1, in the place of the
// one before. Several processes may add to it at once.
package event

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An Event is one thing that happened, with docker's words.
type Event struct {
	Type   string // "container", "volume", "network"
	Action string // "start", "die"
	Actor  Actor
	Scope  string `json:"scope"`
	Time   time.Time
}

// An Actor is what it happened to.
type Actor struct {
	ID         string
	Attributes map[string]string
}

// maxSize is from which size on a file is not added to, in bytes.
const maxSize = 1 << 20

// Add writes an event down.
func Add(root string, e Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := filepath.Join(root, "events.log")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("note event: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxSize {
		_ = os.Rename(path, path+".1")
		return Add(root, e)
	}
	_, err = f.Write(append(raw, '\n')) // in one call, so that lines stay whole
	return err
}

// Options say which events are wanted.
type Options struct {
	Since, Until time.Time // zero for no bound
	Follow       bool      // wait for more, until Until if that is set
}

// followEvery is how often the record is looked at.
const followEvery = 50 * time.Millisecond

// Read gives the events on record to emit, the oldest first.
func Read(ctx context.Context, root string, o Options, emit func(Event) error) error {
	path := filepath.Join(root, "events.log")
	if !o.Since.IsZero() || !o.Follow {
		if err := readFile(path+".1", o, emit); err != nil {
			return err
		}
	}
	f, err := os.Open(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read events: %w", err)
	}
	if f != nil && o.Follow && o.Since.IsZero() {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil && f != nil {
		return fmt.Errorf("read events: %w", err)
	}
	for {
		if f == nil {
			f, _ = os.Open(path)
		}
		if f != nil {
			if err := lines(f, o, emit); err != nil {
				f.Close()
				return err
			}
			if now, err := os.Stat(path); err == nil {
				if st, err := f.Stat(); err == nil && !os.SameFile(now, st) {
					f.Close()
					f = nil
					continue
				}
			}
		}
		if !o.Follow || !o.Until.IsZero() && time.Now().After(o.Until) {
			if f != nil {
				f.Close()
			}
			return nil
		}
		select {
		case <-ctx.Done():
			if f != nil {
				f.Close()
			}
			return context.Cause(ctx)
		case <-time.After(followEvery):
		}
	}
}

func readFile(path string, o Options, emit func(Event) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer f.Close()
	return lines(f, o, emit)
}

// lines gives what is there from where f stands. A line without an end is left for later.
func lines(f *os.File, o Options, emit func(Event) error) error {
	b := bufio.NewReader(f)
	for {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			_, err := f.Seek(-int64(len(line)), io.SeekCurrent)
			return err
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		var e Event
		if json.Unmarshal(line, &e) != nil || e.Time.Before(o.Since) || !o.Until.IsZero() && e.Time.After(o.Until) {
			continue
		}
		if err := emit(e); err != nil {
			return err
		}
	}
}
