package source

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// An httpEntry is the place of one URL, asked with the same headers, in the
// cache directory:
//
//	http/<id>.lock       held while somebody asks the server
//	http/<id>.json       an httpRecord; its mtime is its last use
//	http/body/<sha256>   the bodies, immutable, shared by all URLs
type httpEntry struct{ dir, body, id string }

// An httpRecord is what the server said about a body in the cache. All strings
// are headers as they came; Digest and Size are measured.
type httpRecord struct {
	URL          string // redacted, for people
	ETag         string `json:",omitempty"`
	LastModified string `json:",omitempty"`
	Disposition  string `json:",omitempty"`
	Length       int64  // Content-Length, -1 when not said
	Digest       digest.Digest
	Size         int64
}

func (c *Client) httpEntry(rawURL string, a httpAttrs) (httpEntry, error) {
	dir, err := c.subdir("http")
	if err != nil {
		return httpEntry{}, err
	}
	body, err := c.subdir(filepath.Join("http", "body"))
	if err != nil {
		return httpEntry{}, err
	}
	id, err := json.Marshal([]any{rawURL, a.authSecret, a.header})
	if err != nil {
		return httpEntry{}, fmt.Errorf("source cache: %w", err)
	}
	sum := sha256.Sum256(id)
	return httpEntry{dir: dir, body: body, id: hex.EncodeToString(sum[:16])}, nil
}

func (e httpEntry) lockPath() string   { return filepath.Join(e.dir, e.id+".lock") }
func (e httpEntry) recordPath() string { return filepath.Join(e.dir, e.id+".json") }

func (e httpEntry) bodyPath(d digest.Digest) string { return filepath.Join(e.body, d.Encoded()) }

// load gives the record if there is one and its body is there, nil otherwise:
// whatever is wrong with it, the remedy is to fetch again.
func (e httpEntry) load() *httpRecord {
	raw, err := os.ReadFile(e.recordPath())
	if err != nil {
		return nil
	}
	var rec httpRecord
	if json.Unmarshal(raw, &rec) != nil || rec.Digest.Validate() != nil || rec.Digest.Algorithm() != digest.SHA256 {
		return nil
	}
	fi, err := os.Stat(e.bodyPath(rec.Digest))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != rec.Size {
		return nil
	}
	return &rec
}

// touch notes that the entry was used. Best effort: it only delays pruning.
func (e httpEntry) touch(now time.Time) {
	if rec := e.load(); rec != nil {
		_ = os.Chtimes(e.bodyPath(rec.Digest), now, now)
	}
	_ = os.Chtimes(e.recordPath(), now, now)
}

// save stores a body and then its record, each complete before it has its name.
// A body that does not match want, unless empty, is dropped.
func (e httpEntry) save(body io.Reader, rec httpRecord, want digest.Digest) (httpRecord, error) {
	f, err := os.CreateTemp(e.body, "tmp-*")
	if err != nil {
		return rec, fmt.Errorf("store body: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h := digest.SHA256.Digester()
	if rec.Size, err = io.Copy(io.MultiWriter(f, h.Hash()), body); err != nil {
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			return rec, fmt.Errorf("store body: %w", err)
		}
		return rec, &transientError{fmt.Errorf("read body: %w", err)}
	}
	rec.Digest = h.Digest()
	if want != "" && rec.Digest != want {
		return rec, fmt.Errorf("body has digest %s, want %s: %w", rec.Digest, want, errs.ErrDigest)
	}
	if err := publish(f, e.bodyPath(rec.Digest)); err != nil {
		return rec, fmt.Errorf("store body: %w", err)
	}
	return rec, e.saveRecord(rec)
}

func (e httpEntry) saveRecord(rec httpRecord) error {
	raw, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	f, err := os.CreateTemp(e.dir, "tmp-*")
	if err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(raw); err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	if err := publish(f, e.recordPath()); err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	return nil
}

// publish makes a temporary file durable and gives it its name.
func publish(f *os.File, path string) error {
	if err := f.Chmod(0o400); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
