// Package files keeps a registry in plain files, for any number of processes at once.
//
//	registry                   what this directory is
//	blobs/ALGORITHM/xx/HEX     bytes, once for all repositories
//	uploads/ID                 uploads under way
//	repos/NAME/_index.log      what a repository has: an append-only log
//	catalog.log                all repositories and how much each has
//	trash/, damaged/           what is about to be deleted; what was found damaged
//	reserve                    room for deleting things on a full disk
//	publish.lock, gate.lock    keep garbage collection apart from what publishes
//
// A change of a repository is one record at the end of its log, under an exclusive
// lock (flock) on that log; readers take no lock, and hold what they read of a
// log in memory as long as it is used (within a bound). Nothing is read when the
// directory is opened: a repository's log is read when it is asked for.
//
// Bytes are published by rename. Whoever publishes bytes and links them holds
// publish.lock, shared; garbage is taken away under it, exclusively. gate.lock is
// passed on the way to it, so that publishers cannot keep a collection waiting.
//
// A record that a killed process left half written was never acknowledged and is
// cut off. A log that is damaged otherwise keeps what is behind the damage in
// _index.damaged beside it, and nothing is collected until somebody has looked.
package files
