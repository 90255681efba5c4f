// Package contenttest is the suite that every content.Store passes.
//
//	func TestConformance(t *testing.T) {
//		contenttest.Run(t, func(t testing.TB) content.Store { return memory.New() })
//	}
//
// Parts of it serve those that implement less: RunReadOnly takes a source
// that was filled with Fixture's blobs.
package contenttest
