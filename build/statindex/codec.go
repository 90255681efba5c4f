//go:build linux

package statindex

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sort"
	"strings"
)

// The form of an index, all numbers little endian:
//
//	magic        8 bytes
//	count        4 bytes
//	checksum     4 bytes, CRC-32C of all that follows
//	hashes       count × 8 bytes, ascending: of the paths
//	records      count × recordSize
//	paths        the rest
//
// Hashes stand apart so that a search reads few cache lines, and nothing is
// built when an index is opened.
const (
	magic      = "micaidx1"
	headSize   = 16
	hashSize   = 8
	recordSize = 5*8 + 3*4 + 4 + 4 + 4 + 32
)

// record is what is known about a file.
type record struct {
	identity
	age uint32 // how many times it was written without being used
	sum sum
}

type named struct {
	path string
	record
}

// table is an encoded index.
type table struct {
	hashes, records []byte
	paths           string
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// decode checks an index; not ok is one that is damaged or of another version.
func decode(b []byte) (t table, ok bool) {
	if len(b) < headSize || string(b[:8]) != magic {
		return table{}, false
	}
	count := int(binary.LittleEndian.Uint32(b[8:]))
	crc := binary.LittleEndian.Uint32(b[12:])
	b = b[headSize:]
	if count > len(b)/(hashSize+recordSize) || crc32.Checksum(b, crcTable) != crc {
		return table{}, false
	}
	t = table{hashes: b[:count*hashSize]}
	b = b[count*hashSize:]
	t.records, t.paths = b[:count*recordSize], string(b[count*recordSize:])
	for i := range count {
		if off, size := t.span(i); uint64(off)+uint64(size) > uint64(len(t.paths)) {
			return table{}, false
		}
	}
	return t, true
}

func (t table) len() int { return len(t.hashes) / hashSize }

func (t table) hash(i int) uint64 { return binary.LittleEndian.Uint64(t.hashes[i*hashSize:]) }

// find gives the number of the record for path.
func (t table) find(path string) (int, bool) {
	h := hashPath(path)
	n := t.len()
	for i := sort.Search(n, func(i int) bool { return t.hash(i) >= h }); i < n && t.hash(i) == h; i++ {
		if t.path(i) == path {
			return i, true
		}
	}
	return 0, false
}

func (t table) span(i int) (off, size uint32) {
	b := t.records[i*recordSize+52:]
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

func (t table) path(i int) string {
	off, size := t.span(i)
	return t.paths[off : off+size]
}

func (t table) record(i int) record {
	b := t.records[i*recordSize:][:recordSize]
	u64, u32 := binary.LittleEndian.Uint64, binary.LittleEndian.Uint32
	r := record{
		identity: identity{
			size: int64(u64(b)), mtime: int64(u64(b[8:])), ctime: int64(u64(b[16:])),
			ino: u64(b[24:]), dev: u64(b[32:]),
			mode: u32(b[40:]), uid: u32(b[44:]), gid: u32(b[48:]),
		},
		age: u32(b[60:]),
	}
	copy(r.sum[:], b[64:])
	return r
}

// encode writes an index; the order of all does not matter.
func encode(all []named) []byte {
	hashes := make(map[string]uint64, len(all))
	for _, n := range all {
		hashes[n.path] = hashPath(n.path)
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(hashes[a.path], hashes[b.path]), strings.Compare(a.path, b.path))
	})
	le := binary.LittleEndian
	b := append(make([]byte, 0, headSize+len(all)*(hashSize+recordSize+48)), magic...)
	b = le.AppendUint32(b, uint32(len(all)))
	b = le.AppendUint32(b, 0)
	for _, n := range all {
		b = le.AppendUint64(b, hashes[n.path])
	}
	off := 0
	for _, n := range all {
		for _, v := range []uint64{uint64(n.size), uint64(n.mtime), uint64(n.ctime), n.ino, n.dev} {
			b = le.AppendUint64(b, v)
		}
		for _, v := range []uint32{n.mode, n.uid, n.gid, uint32(off), uint32(len(n.path)), n.age} {
			b = le.AppendUint32(b, v)
		}
		b = append(b, n.sum[:]...)
		off += len(n.path)
	}
	for _, n := range all {
		b = append(b, n.path...)
	}
	le.PutUint32(b[12:], crc32.Checksum(b[headSize:], crcTable))
	return b
}

// hashPath is FNV-1a.
func hashPath(path string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(path) {
		h = (h ^ uint64(path[i])) * 1099511628211
	}
	return h
}
