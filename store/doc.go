// Package store keeps everything mica has on this machine in one directory of
// plain files: blobs by digest, names, layer trees, the records of the build
// cache, cache mounts and small state files. There is no daemon and no database;
// any number of processes use one store at once.
//
// A Store is what Open gives. It implements content.Store; layers are made
// through a Draft (NewLayer … Commit) or from a blob (Unpack).
//
// # Promises
//
// Objects are published by a rename and never changed afterwards. A process that
// dies at any instant leaves only temporaries that nothing refers to; they are
// removed by the next process that writes, or by Prune. With Options.Durable
// what was published survives power loss as well; without, what it damaged is
// noticed when it is read, by digest, size or checksum, and then counts as absent:
// blobs, names, records and the index, but not the files of layer trees.
//
// # Leases
//
// What a process publishes, and what it finds with Exists, Layer, LayerByDiffID,
// Record, Unpack and Pin, is pinned in its lease: Prune, in any process, leaves it
// alone until Close, Unpin or the end of the process. Reading (Fetch, ReadBlob,
// Resolve, Names) pins nothing; only Fetch of a layer that is kept as a tree
// pins that tree, because it is read for a while.
//
// # On disk
//
//	format              the version of this layout
//	blobs/sha256/ab/…   blobs, as they came
//	names.log           names, an append-only log with checksums
//	layers/ID/          fs (a tree in overlay form) and meta.json
//	diffids/sha256/…    the layer that has a diffID
//	records/ab/KEY      build cache records; each use appends a newline
//	cachemounts/…       cache mounts; an instance is lock, id and fs
//	state/…             callers' small files
//	holds/              what is kept for longer than a process lives, as for a container
//	incoming/           blobs of which a part has come, for whoever goes on
//	leases/ tmp/        one of each per process that writes; flock says who lives
//	locks/names         locks by name: each is one byte, locked
//	trash/              renamed here under the lock, unlinked outside of it
//
// gc.lock is taken shared while something is pinned and published, exclusively
// while garbage is marked and moved to trash/. Order of locks: trash.lock, gc.lock,
// names.lock. The filesystem must be local and have user attributes.
package store
