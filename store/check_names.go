//go:build linux

package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mica-build/mica/internal/lockfile"
)

// A salvage is what can be read of a names log, damaged or not.
type salvage struct {
	table   *nameTable
	header  bool // it is good
	skipped int  // bytes between good records
	tail    int  // bytes behind the last good record
	torn    bool // the tail is the beginning of a record
}

// salvageNames reads all good records of a log, also those behind a damaged one:
// no record is taken for good unless its checksum says so.
func salvageNames(log []byte) salvage {
	v := salvage{table: newNameTable(0)}
	at := 0
	if _, err := decodeHeader(string(log[:min(len(log), nameLogHeader)])); err == nil {
		v.header, at = true, nameLogHeader
	}
	for end := at; at < len(log); {
		if n := v.table.replay(log[at:]); n > 0 {
			v.skipped += at - end
			at += n
			end = at
		}
		v.tail = len(log) - end
		at++
		for at < len(log) && nextRecord(log[at:]) == 0 {
			at++
		}
	}
	v.torn = unfinished(log[len(log)-v.tail:])
	return v
}

// unfinished says whether b is shorter than the record it begins with.
func unfinished(b []byte) bool {
	return len(b) < recordHeader || int64(binary.LittleEndian.Uint32(b)) > int64(len(b)-recordHeader)
}

// fault says what is wrong with the log, "" if nothing is.
func (v salvage) fault() string {
	switch {
	case !v.header:
		return fmt.Sprintf("its header is damaged, %d records are good", v.table.records)
	case v.skipped > 0:
		return fmt.Sprintf("%d bytes between good records are damaged", v.skipped)
	case v.tail > 0 && v.torn:
		return fmt.Sprintf("a killed writer left %d bytes at its end", v.tail)
	case v.tail > 0:
		return fmt.Sprintf("%d bytes at its end are damaged", v.tail)
	}
	return ""
}

// checkNamesLog verifies every record of the log. It is repaired at once, before
// anybody asks for names.
func (c *checker) checkNamesLog(ctx context.Context) error {
	s := c.store
	v, err := s.readNamesLog()
	if err != nil || v.fault() == "" && !c.interrupted() {
		return err
	}
	// A writer may be at it.
	lock, err := lockfile.Acquire(ctx, s.path("names.lock"), lockfile.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	if c.interrupted() {
		next := s.path("names.log.new")
		f := &finding{Problem: Problem{Kind: "temporary", Object: "names.log.new", What: "was not finished", Repair: "remove it", Leftover: true}}
		if c.o.Repair {
			if err := os.Remove(next); err != nil {
				return err
			}
			f.Repaired = true
		}
		c.add(f)
	}
	if v, err = s.readNamesLog(); err != nil || v.fault() == "" {
		return err
	}
	f := &finding{Problem: Problem{
		Kind: "names log", Object: "names.log", What: v.fault(),
		Repair: "write it anew with every good record; the old one is kept as names.log.cut",
	}}
	f.Leftover = v.header && v.skipped == 0 && v.torn
	if !f.Leftover {
		f.Advice = "a change of a name that was in the damaged part is lost: look at `mica images`"
	}
	if c.o.Repair {
		if err := s.rewriteNames(v.table); err != nil {
			return fmt.Errorf("repair names log: %w", err)
		}
		f.Repaired = true
	}
	c.add(f)
	return nil
}

// interrupted says whether a compaction of the log was.
func (c *checker) interrupted() bool {
	_, err := os.Lstat(c.store.path("names.log.new"))
	return err == nil
}

func (s *Store) readNamesLog() (salvage, error) {
	log, err := os.ReadFile(s.path("names.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return salvage{header: true, table: newNameTable(0)}, nil
	}
	if err != nil {
		return salvage{}, err
	}
	return salvageNames(log), nil
}

// rewriteNames replaces the log by one of t. The caller holds names.lock.
func (s *Store) rewriteNames(t *nameTable) error {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	old, err := os.ReadFile(s.path("names.log"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("names.log.cut"), old, 0o600); err != nil {
		return err
	}
	generation := s.names.generation
	s.names.reset(0, 0, 0)
	s.names.table, s.names.generation = t, generation
	return s.compactNames()
}
