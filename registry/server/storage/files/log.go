package files

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
)

// A log file is a header and records:
//
//	header   "MICAREG1", 8 random bytes
//	record   length of the payload (4 bytes), its CRC-32C (4 bytes), payload
//
// Numbers are little endian. A log is added to at its end, and replaced as a
// whole by a shorter one that says the same.
const (
	magic        = "MICAREG1"
	logHeader    = len(magic) + 8
	recordHeader = 8
	// maxRecord bounds a record, and so what a damaged length can ask for.
	maxRecord = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A position is how far a log was read.
type position struct {
	file    fs.FileInfo // as it was then; nil before the first time
	header  string      // to know another file that has its inode
	good    int64       // bytes that were good
	records int
}

// current says whether the log at path has nothing new. A log that is not there
// has nothing.
func (p *position) current(path string) (bool, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p.file == nil, nil
	}
	return err == nil && p.file != nil && os.SameFile(p.file, st) &&
		st.Size() == p.good && p.file.ModTime().Equal(st.ModTime()), err
}

// A reader of logs takes what is in them.
type reader interface {
	reset()
	apply(payload string) error
}

// read gives r what is new in f, everything if f is another file than before.
// What is behind the good part is left for the writer to judge.
func (p *position) read(f *os.File, r reader) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	header := make([]byte, logHeader)
	n, err := f.ReadAt(header, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if p.file == nil || !os.SameFile(p.file, st) || p.header != string(header[:n]) || st.Size() < p.good {
		r.reset()
		*p = position{}
	}
	if n < logHeader {
		return nil // its first writer died, or is still at it
	}
	if string(header[:len(magic)]) != magic {
		return fmt.Errorf("%s: no log: %w", f.Name(), errs.ErrInvalid)
	}
	p.file, p.header, p.good = st, string(header), max(p.good, int64(logHeader))
	return p.replay(f, st.Size(), r)
}

// replay gives r the records from p.good on, as far as they are whole.
func (p *position) replay(f *os.File, size int64, r reader) error {
	left := size - p.good
	if left <= 0 {
		return nil
	}
	in := bufio.NewReaderSize(io.NewSectionReader(f, p.good, left), int(min(left, 256<<10)))
	var record []byte
	for {
		n, err := nextRecord(in, left, &record)
		if n == 0 || err != nil {
			return err
		}
		if err := r.apply(string(record)); err != nil {
			return err
		}
		p.good += int64(n)
		p.records++
		left -= int64(n)
	}
}

// nextRecord reads a record, of left bytes at most, and gives its size with the
// header; 0 says that there is no good one.
func nextRecord(in io.Reader, left int64, record *[]byte) (int, error) {
	var head [recordHeader]byte
	if left < recordHeader {
		return 0, nil
	}
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, cutOff(err)
	}
	n, sum := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if n == 0 || n > maxRecord || int64(n) > left-recordHeader {
		return 0, nil
	}
	*record = slices.Grow((*record)[:0], int(n))[:n]
	if _, err := io.ReadFull(in, *record); err != nil {
		return 0, cutOff(err)
	}
	if crc32.Checksum(*record, castagnoli) != sum {
		return 0, nil
	}
	return recordHeader + int(n), nil
}

// cutOff takes the end of a file, which a writer has just cut, for no error.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// torn says whether tail is what a killed writer leaves: the beginning of a record.
func torn(tail []byte) bool {
	if len(tail) < recordHeader {
		return true
	}
	n := binary.LittleEndian.Uint32(tail)
	return n > 0 && n <= maxRecord && int(n) > len(tail)-recordHeader
}

func newHeader() []byte {
	b := make([]byte, logHeader)
	copy(b, magic)
	_, _ = rand.Read(b[len(magic):]) // it does not fail
	return b
}

// appendRecord frames a payload.
func appendRecord(b, payload []byte) ([]byte, error) {
	if len(payload) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes: %w", len(payload), errs.ErrTooLarge)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	return append(b, payload...), nil
}

// write adds a record to f, which was read to its end and is locked.
func (p *position) write(f *os.File, payload []byte, durable bool) error {
	if err := p.cut(f); err != nil {
		return err
	}
	var b []byte
	if p.good == 0 {
		b = newHeader()
	}
	b, err := appendRecord(b, payload)
	if err != nil {
		return err
	}
	if err := fault.WriteAt(f, b, p.good); err != nil {
		_ = f.Truncate(p.good) // or the next writer does it
		return err
	}
	if !durable {
		return nil
	}
	if err := f.Sync(); err != nil || p.good > 0 {
		return err
	}
	return syncDirs(filepath.Dir(f.Name())) // it is new, and so its directories may be
}

// cut removes what is behind the good part of f.
func (p *position) cut(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Size() <= p.good {
		return err
	}
	tail := make([]byte, st.Size()-p.good)
	if _, err := f.ReadAt(tail, p.good); err != nil {
		return err
	}
	if p.good > 0 && !torn(tail) {
		if err := setAside(damagedName(f.Name()), tail); err != nil {
			return err
		}
	}
	return fault.Truncate(f, p.good)
}

// damagedName is where what is behind the damage of a log is kept.
func damagedName(log string) string { return log[:len(log)-len(".log")] + ".damaged" }

func setAside(path string, tail []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(tail)
	return errors.Join(err, f.Sync(), f.Close())
}
