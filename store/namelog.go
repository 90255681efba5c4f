//go:build linux

package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// The names log is a header and records. A record is a batch of changes that
// happen together:
//
//	header   "MICANAM1", generation (8 bytes)
//	record   length of the payload (4 bytes), its CRC-32C (4 bytes), payload
//	payload  one or more of
//	         's' time ref descriptor   ref stands for the descriptor
//	         'd' ref                   ref is removed
//	         'k' time descriptor       a target is kept without a name
//	         'f' digest                and no longer
//
// Fixed numbers are little endian, others varints; strings carry their length.
// A record that is incomplete or has another checksum ends the log.
const (
	nameLogMagic  = "MICANAM1"
	nameLogHeader = len(nameLogMagic) + 8
	recordHeader  = 8
	// maxNameRecord bounds a record, and so what a damaged length can ask for.
	maxNameRecord = 64 << 20
)

const (
	opSet    = 's'
	opDelete = 'd'
	opKeep   = 'k'
	opForget = 'f'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A nameTable is the state that a log describes.
type nameTable struct {
	named    map[string]*Name
	dangling map[digest.Digest]*Name
	uses     map[digest.Digest]int // how many refs a target has; nil until asked for
	records  int                   // read so far, to know when to compact
}

func newNameTable(capacity int) *nameTable {
	return &nameTable{
		named:    make(map[string]*Name, capacity),
		dangling: map[digest.Digest]*Name{},
	}
}

// A change is one decoded operation.
type change struct {
	op   byte
	name Name          // opSet, opKeep; Ref of opDelete
	gone digest.Digest // opForget
}

func (t *nameTable) apply(c change) {
	switch c.op {
	case opSet:
		t.remove(c.name.Ref)
		n := c.name
		t.named[n.Ref] = &n
		if t.uses != nil {
			t.uses[n.Target.Digest]++
		}
	case opDelete:
		t.remove(c.name.Ref)
	case opKeep:
		n := c.name
		t.dangling[n.Target.Digest] = &n
	case opForget:
		delete(t.dangling, c.gone)
	}
}

func (t *nameTable) remove(ref string) {
	old := t.named[ref]
	if old == nil {
		return
	}
	delete(t.named, ref)
	if t.uses == nil {
		return
	}
	if t.uses[old.Target.Digest]--; t.uses[old.Target.Digest] == 0 {
		delete(t.uses, old.Target.Digest)
	}
}

// refs is how many names target has. Only writers ask.
func (t *nameTable) refs(target digest.Digest) int {
	if t.uses == nil {
		t.uses = make(map[digest.Digest]int, len(t.named))
		for _, n := range t.named {
			t.uses[n.Target.Digest]++
		}
	}
	return t.uses[target]
}

// live is the number of entries.
func (t *nameTable) live() int { return len(t.named) + len(t.dangling) }

// replay applies the records in log, which starts at a record, and gives the
// number of bytes that were good. The table refers to a copy of log.
func (t *nameTable) replay(log []byte) (good int) {
	text := string(log)
	var changes []change
	for {
		size := nextRecord(log[good:])
		if size == 0 {
			return good
		}
		var err error
		if changes, err = decodeChanges(changes[:0], text[good+recordHeader:good+size]); err != nil {
			return good
		}
		for _, c := range changes {
			t.apply(c)
		}
		t.records++
		good += size
	}
}

// nextRecord gives the size of the record that log starts with, header and
// payload; 0 says that there is no good one.
func nextRecord(log []byte) int {
	if len(log) < recordHeader {
		return 0
	}
	n, sum := binary.LittleEndian.Uint32(log), binary.LittleEndian.Uint32(log[4:])
	if n == 0 || n > maxNameRecord || int(n) > len(log)-recordHeader {
		return 0
	}
	size := recordHeader + int(n)
	if crc32.Checksum(log[recordHeader:size], castagnoli) != sum {
		return 0
	}
	return size
}

// decodeChanges appends the changes in payload to out.
func decodeChanges(out []change, payload string) ([]change, error) {
	d := decoder{s: payload}
	for d.s != "" && !d.bad {
		c := change{op: d.byte()}
		switch c.op {
		case opSet:
			c.name.Updated = d.time()
			c.name.Ref = d.string()
			c.name.Target = d.descriptor()
		case opDelete:
			c.name.Ref = d.string()
		case opKeep:
			c.name.Updated = d.time()
			c.name.Target = d.descriptor()
		case opForget:
			c.gone = digest.Digest(d.string())
		default:
			d.bad = true
		}
		out = append(out, c)
	}
	if d.bad {
		return nil, fmt.Errorf("names log: record: %w", errs.ErrInvalid)
	}
	return out, nil
}

// A decoder reads fields; after a field that is not there it is bad.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.bad = true
		return 0
	}
	b := d.s[0]
	d.s = d.s[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) string() string {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.s)) {
		d.bad = true
		return ""
	}
	v := d.s[:n]
	d.s = d.s[n:]
	return v
}

func (d *decoder) time() time.Time { return time.Unix(0, int64(d.uvarint())) }

func (d *decoder) descriptor() image.Descriptor {
	var v image.Descriptor
	size := d.uvarint()
	sum, mediaType, extra := d.string(), d.string(), d.string()
	if extra != "" && json.Unmarshal([]byte(extra), &v) != nil {
		d.bad = true
	}
	v.Size, v.Digest, v.MediaType = int64(size), digest.Digest(sum), mediaType
	return v
}

// encodeRecord makes the record of changes.
func encodeRecord(changes []change) ([]byte, error) {
	b := make([]byte, recordHeader, 512)
	for _, c := range changes {
		b = append(b, c.op)
		switch c.op {
		case opSet:
			b = binary.AppendUvarint(b, uint64(c.name.Updated.UnixNano()))
			b = appendString(b, c.name.Ref)
		case opDelete:
			b = appendString(b, c.name.Ref)
			continue
		case opForget:
			b = appendString(b, string(c.gone))
			continue
		case opKeep:
			b = binary.AppendUvarint(b, uint64(c.name.Updated.UnixNano()))
		}
		var err error
		if b, err = appendDescriptor(b, c.name.Target); err != nil {
			return nil, err
		}
	}
	payload := b[recordHeader:]
	if len(payload) > maxNameRecord {
		return nil, fmt.Errorf("names log: record of %d bytes: %w", len(payload), errs.ErrTooLarge)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	return b, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendDescriptor writes the three usual fields; if there are others the whole
// descriptor follows as JSON.
func appendDescriptor(b []byte, d image.Descriptor) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(d.Size))
	b = appendString(b, string(d.Digest))
	b = appendString(b, d.MediaType)
	if d.Platform == nil && d.Annotations == nil && d.URLs == nil && d.Data == nil && d.ArtifactType == "" {
		return appendString(b, ""), nil
	}
	extra, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("names log: encode descriptor: %w", err)
	}
	return appendString(b, string(extra)), nil
}

// encodeLog writes a table as a fresh log.
func encodeLog(t *nameTable, generation uint64) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(nameLogMagic)
	b.Write(binary.LittleEndian.AppendUint64(nil, generation))
	for _, n := range t.sorted() {
		c := change{op: opSet, name: n}
		if n.Ref == "" {
			c.op = opKeep
		}
		r, err := encodeRecord([]change{c})
		if err != nil {
			return nil, err
		}
		b.Write(r)
	}
	return b.Bytes(), nil
}

// decodeHeader gives the log's generation.
func decodeHeader(log string) (generation uint64, err error) {
	if len(log) < nameLogHeader || !strings.HasPrefix(log, nameLogMagic) {
		return 0, fmt.Errorf("names log: header: %w", errs.ErrInvalid)
	}
	return binary.LittleEndian.Uint64([]byte(log[len(nameLogMagic):nameLogHeader])), nil
}
