// Package monitor keeps a container while it runs.
//
// There is no daemon: each container has a process of its own that starts it, holds its
// root and its streams, writes its log and its state, looks after its health, starts it
// again when that is wanted, and listens on a socket in the container's directory. It is
// [Monitor.Run], in the process that the user started, or in one that outlives it.
//
// [Dial] connects to the socket. A connection carries one [Request]; what comes back is a
// [Reply], and for streams frames of a kind, a length and bytes. Open files travel beside
// the request or the reply.
package monitor
