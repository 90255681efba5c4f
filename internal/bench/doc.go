// Command bench times mica on generated inputs, beside the peers that are
// installed: docker (with a daemon that answers), buildah, and buildctl (with
// BUILDKIT_HOST or a buildkitd that answers).
//
//	make bench                                  all workloads
//	make bench BENCH="-list"                    what there is
//	make bench BENCH="-n 9 noop run10"          two of them, nine times
//	make bench BENCH="-copy 1024 bigcopy"       with 1024 MiB
//
// The tools take turns within each workload, so that what else the machine does
// hits all of them. Shown are wall clock seconds of the whole command: median,
// least, and the median as a multiple of the best one. mica works in a store of
// its own that is removed afterwards; images left with the peers are called
// mica-bench-WORKLOAD and are removed too. Nothing is fetched: bases are made
// of a static busybox.
package main
