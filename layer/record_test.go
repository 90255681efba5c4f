//go:build linux

package layer

import (
	"bytes"
	"testing"
)

// FuzzRecords reads the xattrs that stand for owners and devices without root;
// a build step may set them.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("1000:1000"))
	f.Add([]byte("c:1:3"))
	f.Add([]byte("b:4096:1048576"))
	f.Add(entryOwners{{1, 2}: {{1}, {2}}}.encode())
	f.Add([]byte("12345678\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parseOwner(string(raw))
		if mode, _, ok := parseDevice(string(raw)); ok && (mode == 0) {
			t.Errorf("device %q has no type", raw)
		}
		o := decodeEntryOwners(raw)
		b := o.encode()
		if len(b) > len(raw) {
			t.Errorf("%d bytes became %d", len(raw), len(b))
		}
		if len(o) == 1 && !bytes.Equal(decodeEntryOwners(b).encode(), b) {
			t.Error("encoded and decoded, it is another")
		}
	})
}
