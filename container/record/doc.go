// Package record keeps containers on disk: what each was made with, how it is, and its
// writable layer.
//
// A container is a directory containers/ID of a store:
//
//	config.json  what it was made with ([Config])
//	state.json   how it is ([State]), written by its monitor
//	lock         locked while a monitor keeps the container
//	socket       where the monitor listens
//	log          its output, in docker's json-file format (package jsonlog)
//	fs, work     its writable layer, in overlay form
//
// There is no daemon that knows better. A container whose state says that it runs and
// whose lock nobody holds has lost its monitor, and with it its processes: [Folder.List]
// says so. Names are symbolic links in containers/names, so that two processes cannot
// give one name twice.
//
// A Folder may be used concurrently, and by several processes.
package record
