// Package contenttest is the suite that every content.Store passes, and small
// images to test with.
//
//	func TestStore(t *testing.T) {
//		contenttest.Store(t, func(testing.TB) content.Store { return memory.New() })
//	}
package contenttest
