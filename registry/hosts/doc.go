// Package hosts reads how registries are reached: mica's own configuration and, where
// they exist, docker's daemon.json, containerd's hosts.toml and podman's
// registries.conf.
//
// A Config is a remote.Hosts. The first source that has mirrors for a registry counts,
// in this order: mica.toml, hosts.toml, registries.conf, daemon.json. That a host is
// insecure, or blocked, may be said by any of them.
//
// Sources: https://docs.docker.com/reference/cli/dockerd/ (daemon.json),
// https://github.com/containerd/containerd/blob/main/docs/hosts.md,
// containers-registries.conf(5).
package hosts
