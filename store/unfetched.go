//go:build linux

package store

import "github.com/opencontainers/go-digest"

// unfetchedState is where it is noted that a blob was not fetched.
func unfetchedState(d digest.Digest) string {
	return "unfetched/" + string(d.Algorithm()) + "-" + d.Encoded()
}

// NoteUnfetched notes that the blob of a layer was left where it is, because its tree is
// here under another digest: Check does not miss it then.
func (s *Store) NoteUnfetched(d digest.Digest) error {
	if s.unfetched(d) {
		return nil
	}
	return s.PutState(unfetchedState(d), nil)
}

// ForgetUnfetched takes back what NoteUnfetched noted: the blob is here now.
func (s *Store) ForgetUnfetched(d digest.Digest) error { return s.DeleteState(unfetchedState(d)) }

func (s *Store) unfetched(d digest.Digest) bool {
	_, err := s.State(unfetchedState(d))
	return err == nil
}
