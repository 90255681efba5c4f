// Package network connects network namespaces to the host's network, as docker
// does with its default bridge.
//
//	b := &network.Bridge{StateDir: dir}
//	ns, err := b.Get() // setns(2) to ns.File; eth0 is up
//	defer b.Put(ns, true)
//
// All namespaces hang on one bridge, mica0, whose subnet is chosen when it is
// first needed so that it covers no route of the host. Their traffic is
// masqueraded by the nftables table "mica" (or iptables, where the kernel has no
// nftables). Bridge and table stay; they are small and make the next start fast.
// `ip link del mica0; nft delete table ip mica` removes them. Forwarding of IPv4
// is switched on.
//
// An address is taken by the name of the host's end of the veth pair ("mica" and
// a number): the kernel refuses a second one, and takes the pair down with the
// namespace. So nothing has to be given back, even by a process that is killed.
//
// [Forwarder] answers DNS inside a namespace for servers that only the host can
// reach, such as 127.0.0.53.
package network
