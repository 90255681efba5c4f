package table

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// What a change does.
const (
	opLink     = 'l'
	opUnlink   = 'u'
	opManifest = 'm'
	opDelete   = 'd'
	opTag      = 't'
	opUntag    = 'r'
	opPulled   = 'p'
)

// A Change is one step in the life of a Table.
type Change struct {
	op   byte
	time int64  // nanoseconds
	key  string // packed digest
	name string // of a tag
	size int64

	mediaType, artifactType, subject string
	blobs, manifests                 []string
}

// Pulled is the change that notes a pull.
func Pulled(tag string, d digest.Digest, ns int64) Change {
	return Change{op: opPulled, key: pack(d), name: tag, time: ns}
}

func linkChange(l storage.Link) Change {
	return Change{op: opLink, key: pack(l.Digest), size: l.Size, time: nanos(l.Linked)}
}

func manifestChange(m storage.Manifest) Change {
	c := Change{
		op: opManifest, key: pack(m.Digest), size: m.Size, time: nanos(m.Pushed),
		mediaType: m.MediaType, artifactType: m.ArtifactType, blobs: packAll(m.Blobs), manifests: packAll(m.Manifests),
	}
	if m.Subject != "" {
		c.subject = pack(m.Subject)
	}
	return c
}

// The first byte of a packed digest says what follows: the binary digest, or
// where it is another algorithm's the digest as it is written.
const (
	packedOther  = 0
	packedSHA256 = 1
	packedSHA512 = 2
	packedSHA384 = 3
)

var packings = map[digest.Algorithm]byte{digest.SHA256: packedSHA256, digest.SHA512: packedSHA512, digest.SHA384: packedSHA384}

func pack(d digest.Digest) string {
	alg, enc, _ := strings.Cut(string(d), ":")
	if kind := packings[digest.Algorithm(alg)]; kind != packedOther {
		var buf [65]byte
		if len(enc) <= 128 {
			if n, err := hex.Decode(buf[1:], []byte(enc)); err == nil {
				buf[0] = kind
				return string(buf[:n+1])
			}
		}
	}
	return string(rune(packedOther)) + string(d)
}

func packAll(list []digest.Digest) []string {
	out := make([]string, len(list))
	for i, d := range list {
		out[i] = pack(d)
	}
	return out
}

func unpack(key string) digest.Digest {
	if key == "" {
		return ""
	}
	var alg digest.Algorithm
	switch key[0] {
	case packedSHA256:
		alg = digest.SHA256
	case packedSHA512:
		alg = digest.SHA512
	case packedSHA384:
		alg = digest.SHA384
	default:
		return digest.Digest(key[1:])
	}
	buf := make([]byte, 0, len(alg)+1+2*len(key))
	buf = append(append(buf, alg...), ':')
	return digest.Digest(hex.AppendEncode(buf, []byte(key[1:])))
}

// Append writes changes as the payload of one record.
func Append(b []byte, changes []Change) []byte {
	for i := range changes {
		b = changes[i].append(b)
	}
	return b
}

func (c *Change) append(b []byte) []byte {
	b = append(b, c.op)
	b = appendString(b, c.key)
	switch c.op {
	case opLink:
		b = binary.AppendUvarint(b, uint64(c.time))
		b = binary.AppendUvarint(b, uint64(c.size))
	case opManifest:
		b = binary.AppendUvarint(b, uint64(c.time))
		b = binary.AppendUvarint(b, uint64(c.size))
		b = appendString(b, c.mediaType)
		b = appendString(b, c.artifactType)
		b = appendString(b, c.subject)
		b = appendStrings(b, c.blobs)
		b = appendStrings(b, c.manifests)
	case opTag, opPulled:
		b = binary.AppendUvarint(b, uint64(c.time))
		b = appendString(b, c.name)
	case opUntag:
		b = appendString(b, c.name)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// Decode appends the changes of a payload to out. They refer to payload.
func Decode(out []Change, payload string) ([]Change, error) {
	d := decoder{s: payload}
	for d.s != "" && !d.bad {
		out = append(out, d.change())
	}
	if d.bad {
		return nil, fmt.Errorf("index record: %w", errs.ErrInvalid)
	}
	return out, nil
}

// A decoder reads fields; after a field that is not there it is bad.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) change() Change {
	c := Change{op: d.s[0]}
	d.s = d.s[1:]
	c.key = d.string()
	switch c.op {
	case opLink:
		c.time, c.size = d.number(), d.number()
	case opManifest:
		c.time, c.size = d.number(), d.number()
		c.mediaType, c.artifactType, c.subject = intern(d.string()), intern(d.string()), d.string()
		c.blobs, c.manifests = d.strings(), d.strings()
	case opTag, opPulled:
		c.time, c.name = d.number(), d.string()
	case opUntag:
		c.name = d.string()
	case opUnlink, opDelete:
	default:
		d.bad = true
	}
	return c
}

func (d *decoder) number() int64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if d.s == "" {
			break
		}
		c := d.s[0]
		d.s = d.s[1:]
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			d.bad = d.bad || int64(v) < 0
			return int64(v)
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) string() string {
	n := d.number()
	if d.bad || n > int64(len(d.s)) {
		d.bad = true
		return ""
	}
	v := d.s[:n]
	d.s = d.s[n:]
	return v
}

func (d *decoder) strings() []string {
	n := d.number()
	if d.bad || n > int64(len(d.s)) { // each takes a byte at least
		d.bad = true
		return nil
	}
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.string())
	}
	return out
}
