// Package snapshottest is the suite that every snapshot.Mounter passes.
//
//	func TestConformance(t *testing.T) {
//		snapshottest.Run(t, func(testing.TB) snapshot.Mounter { return overlay.New() })
//	}
//
// It runs the test binary again to see what a killed process leaves, so Run must
// be called from a test function of the top level. It needs root.
package snapshottest
