// Package history keeps what builds did: when, of what, each step with what its
// cache key was made of, its output whole, and how it ended. From that it says
// why a step ran.
//
// A [History] belongs to a store. Whoever builds writes a build down through a
// [Recorder]; all others read: [History.List], [History.Steps], [History.Log],
// [History.Why].
//
// On disk, below builds/ in the store, a build is a directory named by its id:
//
//	meta.json     the Build; written when it begins, replaced when it ends
//	lock          held while the build runs: one that says it runs and is not
//	              locked was killed
//	steps.jsonl   a Step on each line, appended as steps end
//	N.log         what step N wrote, made at its first byte
//	kept.json     what is needed to look into a failed step
//
// What a step read from a directory is listed in the store's state under
// listing/, once for each content; see [Listing].
//
// The last [Keep] builds are kept, none longer than [KeepFor]; the next build
// removes the others. A build to which a later one refers, because it found
// everything as it was, stays as long as that one.
//
// All of it explains and decides nothing: a history that cannot be written is
// no reason for a build to fail, and none of it is ever used as a cache.
// A Recorder may be used concurrently, and any number of processes may build,
// read and prune at once.
package history
