// Command registry times mica's registry beside zot and distribution, where
// their programs are there.
//
//	make bench-registry
//	make bench-registry BENCH="-zot /opt/zot -distribution /opt/registry -n 5"
//
// All servers run at the same time, each on files of its own, and take turns in
// each workload, so that what else the machine does hits all of them. Clients
// are cheap: what they pull is thrown away within the kernel. Shown are, for each
// workload, the best and the median of the rounds, the ratio to mica's best, and
// the processor time that the server took; at the end each server's largest
// resident memory. Nothing is fetched, and everything is removed.
package main
