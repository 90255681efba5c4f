// Package publish makes ports of a container reachable at the host.
//
// A [Publication] listens at the host's addresses and carries each connection, or
// datagram, into the container's network namespace, where it connects as a client on the
// container's own address. That needs no rule in any firewall and no route, works the same with and
// without root, and ends with the process that holds it. The container sees the
// connection come from its own address; the client's is not passed on.
package publish
