package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
)

var _ Backend = (*Dir)(nil)

// Dir is a Backend in a directory. Bytes of blobs are there once, however many
// repositories have them; they are hard links. One process may use it at a time.
//
//	blobs/ALGORITHM/HEX           all blobs
//	repos/NAME/_blobs/ALG/HEX     those of one repository
//	repos/NAME/_manifests/ALG/HEX manifests, each with HEX.json about it
//	repos/NAME/_tags/TAG          the digest a tag stands for
//	repos/NAME/_referrers/ALG/HEX/DIGEST  what refers to a manifest
//	repos/NAME/_uploads/ID        uploads under way
//
// Repository names cannot contain a part that begins with "_".
type Dir struct {
	root string
	mu   sync.Mutex      // over manifests and tags that change together
	busy map[string]bool // uploads that are written to
}

// OpenDir opens the directory and makes it if need be.
func OpenDir(root string) (*Dir, error) {
	for _, d := range []string{"blobs", "repos"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return nil, fmt.Errorf("open registry directory: %w", err)
		}
	}
	return &Dir{root: root, busy: map[string]bool{}}, nil
}

// path is a place of a repository.
func (s *Dir) path(repo, area string, more ...string) string {
	return filepath.Join(append([]string{s.root, "repos", filepath.FromSlash(repo), area}, more...)...)
}

func (s *Dir) digestPath(repo, area string, d digest.Digest) string {
	return s.path(repo, area, d.Algorithm().String(), d.Encoded())
}

func (s *Dir) shared(d digest.Digest) string {
	return filepath.Join(s.root, "blobs", d.Algorithm().String(), d.Encoded())
}

// missing makes "no such file" errs.ErrNotFound.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errs.ErrNotFound, err)
	}
	return err
}

// Blob opens a blob.
func (s *Dir) Blob(_ context.Context, repo string, d digest.Digest) (io.ReadSeekCloser, error) {
	f, err := os.Open(s.digestPath(repo, "_blobs", d))
	if err != nil {
		return nil, missing(err)
	}
	return f, nil
}

// StatBlob gives a blob's size.
func (s *Dir) StatBlob(_ context.Context, repo string, d digest.Digest) (int64, error) {
	st, err := os.Stat(s.digestPath(repo, "_blobs", d))
	if err != nil {
		return 0, missing(err)
	}
	return st.Size(), nil
}

// MountBlob gives repo a blob of from.
func (s *Dir) MountBlob(_ context.Context, repo, from string, d digest.Digest) error {
	return link(s.digestPath(from, "_blobs", d), s.digestPath(repo, "_blobs", d))
}

// link makes a second name; one that is there already is as good.
func link(old, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.Link(old, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return missing(err)
	}
	return nil
}

// DeleteBlob removes a blob from repo. Its bytes stay for whoever pushes it again.
func (s *Dir) DeleteBlob(_ context.Context, repo string, d digest.Digest) error {
	if err := os.Remove(s.digestPath(repo, "_blobs", d)); err != nil {
		return missing(err)
	}
	return nil
}

// StartUpload begins an upload.
func (s *Dir) StartUpload(_ context.Context, repo string) (string, error) {
	id := rand.Text()
	path := s.path(repo, "_uploads", id)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return id, os.WriteFile(path, nil, 0o644)
}

// upload is the path of an upload's bytes.
func (s *Dir) upload(repo, id string) (string, error) {
	for _, c := range id {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return "", fmt.Errorf("upload id: %w", errs.ErrNotFound)
		}
	}
	if id == "" {
		return "", fmt.Errorf("upload id: %w", errs.ErrNotFound)
	}
	return s.path(repo, "_uploads", id), nil
}

// claim keeps other writers from an upload.
func (s *Dir) claim(path string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[path] {
		return nil, fmt.Errorf("upload in use: %w", errs.ErrConflict)
	}
	s.busy[path] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, path)
	}, nil
}

// Upload gives an upload's size.
func (s *Dir) Upload(_ context.Context, repo, id string) (int64, error) {
	path, err := s.upload(repo, id)
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, missing(err)
	}
	return st.Size(), nil
}

// WriteUpload appends to an upload.
func (s *Dir) WriteUpload(ctx context.Context, repo, id string, offset int64, r io.Reader) (int64, error) {
	path, err := s.upload(repo, id)
	if err != nil {
		return 0, err
	}
	release, err := s.claim(path)
	if err != nil {
		return 0, err
	}
	defer release()
	have, err := s.Upload(ctx, repo, id)
	if err != nil {
		return 0, err
	}
	if have != offset {
		return have, fmt.Errorf("upload stands at %d, not %d: %w", have, offset, errs.ErrInvalid)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return have, missing(err)
	}
	n, err := io.Copy(f, r)
	return have + n, errors.Join(err, f.Close())
}

// FinishUpload makes an upload a blob.
func (s *Dir) FinishUpload(_ context.Context, repo, id string, d digest.Digest) error {
	path, err := s.upload(repo, id)
	if err != nil {
		return err
	}
	release, err := s.claim(path)
	if err != nil {
		return err
	}
	defer release()
	defer os.Remove(path)
	if err := verifyFile(path, d); err != nil {
		return err
	}
	if err := link(path, s.shared(d)); err != nil {
		return err
	}
	return link(s.shared(d), s.digestPath(repo, "_blobs", d))
}

// verifyFile holds a file's bytes against d and makes them durable.
func verifyFile(path string, d digest.Digest) error {
	f, err := os.Open(path)
	if err != nil {
		return missing(err)
	}
	defer f.Close()
	v := d.Verifier()
	if _, err := io.Copy(v, f); err != nil {
		return err
	}
	if !v.Verified() {
		return fmt.Errorf("upload: %w", errs.ErrDigest)
	}
	return f.Sync()
}

// CancelUpload forgets an upload.
func (s *Dir) CancelUpload(_ context.Context, repo, id string) error {
	path, err := s.upload(repo, id)
	if err != nil {
		return err
	}
	return missing(os.Remove(path))
}

// about is what is kept beside a manifest's bytes.
type about struct {
	MediaType string            `json:"mediaType"`
	Subject   digest.Digest     `json:"subject,omitempty"`
	Referrer  *image.Descriptor `json:"referrer,omitempty"`
}

// Manifest reads a manifest.
func (s *Dir) Manifest(_ context.Context, repo string, d digest.Digest) (Manifest, error) {
	path := s.digestPath(repo, "_manifests", d)
	raw, err := os.ReadFile(path + ".json")
	if err != nil {
		return Manifest{}, missing(err)
	}
	var a about
	if err := json.Unmarshal(raw, &a); err != nil {
		return Manifest{}, fmt.Errorf("manifest %s of %s: %w", d, repo, err)
	}
	m := Manifest{MediaType: a.MediaType, Subject: a.Subject}
	if a.Referrer != nil {
		m.Referrer = *a.Referrer
	}
	m.Raw, err = os.ReadFile(path)
	return m, missing(err)
}

// PutManifest stores a manifest. What is beside it comes last: it is what makes
// the manifest exist.
func (s *Dir) PutManifest(_ context.Context, repo string, d digest.Digest, m Manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := about{MediaType: m.MediaType, Subject: m.Subject}
	if m.Subject != "" {
		a.Referrer = &m.Referrer
		raw, err := json.Marshal(m.Referrer)
		if err != nil {
			return err
		}
		if err := write1(filepath.Join(s.digestPath(repo, "_referrers", m.Subject), fileName(d)), raw); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	path := s.digestPath(repo, "_manifests", d)
	if err := write1(path, m.Raw); err != nil {
		return err
	}
	return write1(path+".json", raw)
}

// write1 writes one file, durably.
func write1(path string, data []byte) error {
	return atomicfile.Write(path, data, atomicfile.Options{Sync: true})
}

// fileName is d as one part of a path.
func fileName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// DeleteManifest removes a manifest and its tags.
func (s *Dir) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	m, err := s.Manifest(ctx, repo, d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tags, err := names(s.path(repo, "_tags"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, tag := range tags {
		if at, err := s.Tag(ctx, repo, tag); err == nil && at == d {
			if err := os.Remove(s.path(repo, "_tags", tag)); err != nil {
				return err
			}
		}
	}
	path := s.digestPath(repo, "_manifests", d)
	if m.Subject != "" {
		_ = os.Remove(filepath.Join(s.digestPath(repo, "_referrers", m.Subject), fileName(d)))
	}
	if err := os.Remove(path + ".json"); err != nil {
		return missing(err)
	}
	return missing(os.Remove(path))
}

// Tag reads a tag.
func (s *Dir) Tag(_ context.Context, repo, tag string) (digest.Digest, error) {
	raw, err := os.ReadFile(s.path(repo, "_tags", tag))
	if err != nil {
		return "", missing(err)
	}
	return digest.Parse(string(raw))
}

// PutTag sets a tag.
func (s *Dir) PutTag(_ context.Context, repo, tag string, d digest.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return write1(s.path(repo, "_tags", tag), []byte(d))
}

// DeleteTag removes a tag.
func (s *Dir) DeleteTag(_ context.Context, repo, tag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return missing(os.Remove(s.path(repo, "_tags", tag)))
}

// Tags lists tags.
func (s *Dir) Tags(_ context.Context, repo, last string, n int) ([]string, error) {
	tags, err := names(s.path(repo, "_tags"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(s.path(repo, "_manifests")); serr == nil {
			return nil, nil
		}
	}
	if err != nil {
		return nil, missing(err)
	}
	return after(tags, last, n), nil
}

// names lists a directory in ASCII order, without files being written.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if tagForm.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// Referrers lists what refers to d.
func (s *Dir) Referrers(_ context.Context, repo string, d digest.Digest) ([]image.Descriptor, error) {
	dir := s.digestPath(repo, "_referrers", d)
	files, err := names(dir)
	if err != nil {
		return nil, missing(err)
	}
	var out []image.Descriptor
	for _, name := range files {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		var r image.Descriptor
		if err == nil {
			err = json.Unmarshal(raw, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("referrers of %s: %w", d, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Repositories lists repositories that have a manifest.
func (s *Dir) Repositories(_ context.Context, last string, n int) ([]string, error) {
	root := filepath.Join(s.root, "repos")
	var out []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if e.Name() == "_manifests" {
			name, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			out = append(out, filepath.ToSlash(name))
		}
		if e.Name()[0] == '_' {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	slices.Sort(out)
	return after(out, last, n), nil
}
