//go:build linux

package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/errs"
)

// A Listing is what a step read of one input, by path. It is kept under a name
// that depends on its content and on the path that was read, so that what does
// not change is written once.
type Listing map[string]fileop.Entry

func listingName(content digest.Digest, src string) string {
	sum := sha256.Sum256([]byte(string(content) + "\x00" + src))
	return hex.EncodeToString(sum[:16])
}

func (h *History) listingPath(name string) string {
	return filepath.Join(h.store.Root(), "state", "listing", name)
}

// keepListing writes a listing, or says that it is still in use.
func (h *History) keepListing(name string, entries func() []fileop.Entry) error {
	now := time.Now()
	if os.Chtimes(h.listingPath(name), now, now) == nil {
		return nil
	}
	return h.store.PutState("listing/"+name, encodeListing(entries()))
}

// listing reads a listing; errs.ErrNotFound when it is not there any more.
func (h *History) listing(name string) (Listing, error) {
	raw, err := h.store.State("listing/" + name)
	if err != nil {
		return nil, err
	}
	return decodeListing(raw)
}

// listingHead begins every listing. Numbers are octal for modes, else decimal.
const listingHead = "mica listing 1\n"

// encodeListing writes a line for each entry:
//
//	mode uid gid size rdev sum link caps path
//
// with - for what is not there; link and path are quoted.
func encodeListing(entries []fileop.Entry) []byte {
	b := make([]byte, 0, 160*(len(entries)+1))
	b = append(b, listingHead...)
	for i := range entries {
		b = appendEntry(b, &entries[i])
	}
	return b
}

func appendEntry(b []byte, e *fileop.Entry) []byte {
	b = strconv.AppendUint(b, uint64(e.Mode), 8)
	for _, n := range []int64{int64(e.Owner.UID), int64(e.Owner.GID), e.Size, int64(e.Rdev)} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	for _, s := range []string{string(e.Digest), base64.RawStdEncoding.EncodeToString(e.Caps)} {
		if s == "" {
			s = "-"
		}
		b = append(append(b, ' '), s...)
	}
	b = strconv.AppendQuote(append(b, ' '), e.Link)
	b = strconv.AppendQuote(append(b, ' '), e.Path)
	return append(b, '\n')
}

func decodeListing(raw []byte) (Listing, error) {
	text, ok := strings.CutPrefix(string(raw), listingHead)
	if !ok {
		return nil, fmt.Errorf("decode listing: %w: not of this version", errs.ErrInvalid)
	}
	l := make(Listing, bytes.Count(raw, []byte("\n")))
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if line == "" {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("decode listing: line %d: %w: %w", i+2, errs.ErrInvalid, err)
		}
		l[e.Path] = e
	}
	return l, nil
}

func parseEntry(line string) (e fileop.Entry, err error) {
	words := strings.SplitN(line, " ", 8)
	if len(words) < 8 {
		return e, fmt.Errorf("%d words", len(words))
	}
	mode, err := strconv.ParseUint(words[0], 8, 32)
	if err != nil {
		return e, err
	}
	var n [4]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(words[i+1], 10, 64); err != nil {
			return e, err
		}
	}
	e = fileop.Entry{Mode: uint32(mode), Owner: fileop.Owner{UID: int(n[0]), GID: int(n[1])}, Size: n[2], Rdev: uint64(n[3])}
	if words[5] != "-" {
		e.Digest = digest.Digest(words[5])
	}
	if words[6] != "-" {
		if e.Caps, err = base64.RawStdEncoding.DecodeString(words[6]); err != nil {
			return e, err
		}
	}
	link, err := strconv.QuotedPrefix(words[7])
	if err != nil {
		return e, err
	}
	if e.Link, err = strconv.Unquote(link); err != nil {
		return e, err
	}
	e.Path, err = strconv.Unquote(strings.TrimPrefix(words[7][len(link):], " "))
	return e, err
}
