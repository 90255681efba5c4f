package jsonlog

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// maxLine is how much of a line without an end becomes one entry, as in docker.
const maxLine = 16 << 10

// Options say how much is kept.
type Options struct {
	MaxSize int64 // bytes of one file; 0 is no limit
	MaxFile int   // how many files; less than 2 is one
}

// A Log is the file that output is written to. It may be used concurrently.
type Log struct {
	path string
	o    Options

	mu   sync.Mutex
	f    *os.File
	size int64
	now  func() time.Time
}

// Open opens the log at path, which is made if need be, to add to it.
func Open(path string, o Options) (*Log, error) {
	l := &Log{path: path, o: o, now: time.Now}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	l.f, l.size = f, st.Size()
	return nil
}

// Close closes the file. Streams should be closed before.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// add writes one entry of a stream.
func (l *Log) add(stream string, text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := appendEntry(nil, stream, text, l.now())
	if l.o.MaxSize > 0 && l.size > 0 && l.size+int64(len(line)) > l.o.MaxSize {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(line)
	l.size += int64(n)
	if err != nil && n > 0 {
		// Half an entry would spoil the next one.
		if terr := l.f.Truncate(l.size - int64(n)); terr == nil {
			l.size -= int64(n)
		}
	}
	return err
}

// rotate begins a new file.
func (l *Log) rotate() error {
	if err := l.f.Close(); err != nil {
		return err
	}
	if l.o.MaxFile < 2 {
		if err := os.Remove(l.path); err != nil {
			return err
		}
		return l.open()
	}
	for i := l.o.MaxFile - 1; i > 0; i-- {
		if err := os.Rename(numbered(l.path, i-1), numbered(l.path, i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return l.open()
}

// numbered is the i-th oldest file.
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// appendEntry adds the line for text.
func appendEntry(b []byte, stream string, text []byte, at time.Time) []byte {
	b = append(b, `{"log":"`...)
	b = appendText(b, text)
	b = append(b, `","stream":"`...)
	b = append(b, stream...)
	b = append(b, `","time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n"...)
}

const hexDigits = "0123456789abcdef"

// appendText adds text as the inside of a JSON string; what is not UTF-8 is replaced.
func appendText(b, text []byte) []byte {
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, `\n`...)
			case c == '\r':
				b = append(b, `\r`...)
			case c == '\t':
				b = append(b, `\t`...)
			case c < 0x20 || c == '<' || c == '>' || c == '&':
				b = append(b, `\u00`...)
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
			default:
				b = append(b, c)
			}
			text = text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			b = append(b, `\ufffd`...)
		} else {
			b = append(b, text[:n]...)
		}
		text = text[n:]
	}
	return b
}

// A Stream is one of the streams that a log has, as a writer: "stdout" or "stderr".
type Stream struct {
	log  *Log
	name string
	mu   sync.Mutex
	part []byte // of a line that has not ended
}

// Stream gives a writer for a stream.
func (l *Log) Stream(name string) *Stream { return &Stream{log: l, name: name} }

// Write adds output. Lines become entries when they have ended, or are long.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := p
	for len(rest) > 0 {
		i := bytes.IndexByte(rest, '\n') + 1
		if i == 0 {
			i = len(rest)
		}
		i = min(i, maxLine-len(s.part))
		piece := rest[:i]
		rest = rest[i:]
		if len(s.part) > 0 || piece[len(piece)-1] != '\n' && len(piece) < maxLine {
			s.part = append(s.part, piece...)
			piece = s.part
		}
		if piece[len(piece)-1] != '\n' && len(piece) < maxLine {
			break
		}
		if err := s.log.add(s.name, piece); err != nil {
			return len(p) - len(rest), err
		}
		s.part = s.part[:0]
	}
	return len(p), nil
}

// Close writes what is left of a line without an end.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.part) == 0 {
		return nil
	}
	err := s.log.add(s.name, s.part)
	s.part = nil
	return err
}
