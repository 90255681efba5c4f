package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/platform"
	"github.com/mica-build/mica/sandbox/cgroup"
	"github.com/mica-build/mica/sandbox/network"
	"github.com/mica-build/mica/sandbox/rootless"
	"github.com/mica-build/mica/snapshot/overlay"
)

// kernel checks the version: 5.10 is the least, 5.11 without root.
func (d *doctor) kernel() {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		d.fail("kernel", "", "uname: %v", err)
		return
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		d.warn("kernel", "", "Linux %s: what version is that?", release)
		return
	}
	least := 10
	if rootless.Needed() {
		least = 11
	}
	if major < 5 || major == 5 && minor < least {
		d.fail("kernel", fmt.Sprintf("Use Linux 5.%d or later.", least), "Linux %s is too old", release)
		return
	}
	d.ok("kernel", "Linux %s", release)
}

// namespaces tries what a build does first.
func (d *doctor) namespaces() {
	if !rootless.Needed() {
		d.ok("namespaces", "mica may make them itself: it has CAP_SYS_ADMIN")
		return
	}
	kind, err := rootless.Try()
	if r := (*rootless.Refusal)(nil); errors.As(err, &r) {
		d.fail("namespaces", r.Advice, "%v", err)
		return
	}
	if err != nil {
		d.fail("namespaces", "", "%v", err)
		return
	}
	d.ok("namespaces", "user namespaces can be made (%s)", kind)
}

// users checks what gives a user namespace more than one user.
func (d *doctor) users() {
	if !rootless.Needed() || os.Geteuid() == 0 {
		return
	}
	ids, err := rootless.Lookup()
	if err != nil {
		d.warn("users", "", "%v", err)
		return
	}
	if ids.NewUIDMap == "" || ids.NewGIDMap == "" {
		d.warn("users", "As root: apt-get install uidmap (Debian, Ubuntu), dnf install shadow-utils (Fedora), apk add shadow-uidmap (Alpine).",
			"newuidmap and newgidmap are not installed: chown in RUN will fail")
		return
	}
	n := 0
	for _, r := range ids.UIDs {
		n += r.Count
	}
	if !ids.Complete() {
		d.warn("users", "As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+ids.User,
			"%s has no ranges in /etc/subuid and /etc/subgid: chown in RUN will fail", ids.User)
		return
	}
	if n < 65536 {
		d.warn("users", "Give "+ids.User+" 65536 users in /etc/subuid and /etc/subgid.", "%d users: images with higher ones will not unpack", n)
		return
	}
	d.ok("users", "%d users from /etc/subuid by %s", n, ids.NewUIDMap)
}

// overlay tries overlayfs where the store is, or says what takes its place.
func (d *doctor) overlay() {
	dir := existing(d.app.root)
	if rootless.Needed() {
		fs, _ := os.ReadFile("/proc/filesystems")
		if !strings.Contains(string(fs), "\toverlay\n") {
			d.warn("overlay", "As root: modprobe overlay.", "the kernel has no overlayfs, or has not loaded it: layers will be copied")
			return
		}
		d.ok("overlay", "the kernel has overlayfs")
		return
	}
	if err := overlay.Supported(dir); err != nil {
		d.warn("overlay", "Put the store (--root, MICA_ROOT) on a filesystem that carries overlayfs, such as ext4 or xfs.",
			"layers will be copied: %v", err)
		return
	}
	d.ok("overlay", "overlayfs works in %s", dir)
}

// existing is path or the nearest directory above it that exists.
func existing(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return "/"
	}
	for {
		if fi, err := os.Stat(path); err == nil && fi.IsDir() || path == "/" {
			return path
		}
		path = filepath.Dir(path)
	}
}

func (d *doctor) cgroups() {
	if !rootless.Needed() && os.Getenv("MICA_USER_NAMESPACE") == "" {
		if _, err := os.Stat("/sys/fs/cgroup"); err != nil {
			d.warn("cgroups", "Mount cgroup2 at /sys/fs/cgroup.", "none are mounted: no limits on memory, CPU and processes")
			return
		}
		version := "v1 or both"
		if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
			version = "v2"
		}
		d.ok("cgroups", "%s", version)
		return
	}
	dir, controllers, err := cgroup.Delegated()
	if err != nil {
		d.warn("cgroups", "Limits need a delegated cgroup: systemd-run --user --scope -p Delegate=yes mica …; see docs/rootless.md.",
			"--memory, --cpu-quota and the like will not be set: %v", err)
		return
	}
	d.ok("cgroups", "%s: %s", dir, strings.Join(controllers, " "))
}

func (d *doctor) seccomp() {
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		d.fail("seccomp", "Use a kernel with CONFIG_SECCOMP_FILTER.", "the kernel has no seccomp: %v", err)
		return
	}
	d.ok("seccomp", "filters are there")
}

// proc finds what keeps a new /proc from being mounted in a user namespace: a
// mount over a part of this one.
func (d *doctor) proc() {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		d.fail("proc", "Mount /proc.", "%v", err)
		return
	}
	var over []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], "/proc/") && f[4] != "/proc/sys/fs/binfmt_misc" {
			over = append(over, f[4])
		}
	}
	if len(over) > 0 && rootless.Needed() {
		d.warn("proc", "Use --isolation=shared-proc, or start the container with an unmasked /proc; see docs/ci.md.",
			"this container hides parts of its /proc (%s): steps cannot have one of their own", strings.Join(over, " "))
		return
	}
	d.ok("proc", "steps can have one of their own")
}

// stepNetwork says how steps reach the network.
func (d *doctor) stepNetwork() {
	if !rootless.Needed() {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			d.warn("network", "As root: modprobe nf_tables nft_masq; or use --network host.",
				"the kernel has no nftables for a bridge with NAT: %v", err)
			return
		}
		unix.Close(fd)
		d.ok("network", "a bridge with NAT by the kernel's nftables")
		return
	}
	const advice = "As root: apt-get install passt (or slirp4netns)."
	name, path := network.UserHelper()
	switch {
	case name == "":
		d.warn("network", advice, "neither pasta nor slirp4netns: steps share the host's network")
	case unix.Access("/dev/net/tun", unix.R_OK|unix.W_OK) != nil:
		d.warn("network", "As root: modprobe tun; chmod 0666 /dev/net/tun. In a container: give it the device /dev/net/tun.",
			"%s is there, but /dev/net/tun may not be opened: steps share the host's network", name)
	default:
		d.ok("network", "%s", path)
	}
}

// binfmt says which platforms other than this one run here.
func (d *doctor) binfmt() {
	own := platform.Default()
	var foreign []string
	for _, p := range platform.Supported() {
		if p.Architecture != own.Architecture {
			foreign = append(foreign, p.OS+"/"+p.Architecture+p.Variant)
		}
	}
	if len(foreign) == 0 {
		d.ok("binfmt", "%s/%s only (for RUN on others: apt-get install qemu-user-static binfmt-support)", own.OS, own.Architecture)
		return
	}
	d.ok("binfmt", "%s/%s, and %s", own.OS, own.Architecture, strings.Join(foreign, " "))
}

// lowDisk is where builds begin to be at risk.
const lowDisk = 2 << 30

// disk looks at the filesystem of the store.
func (d *doctor) disk() {
	dir := existing(d.app.root)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		d.fail("store", "", "%s: %v", dir, err)
		return
	}
	free := uint64(st.Bavail) * uint64(st.Bsize)
	name := filesystems[int64(st.Type)]
	if name == "" {
		name = fmt.Sprintf("filesystem %#x", st.Type)
	}
	text := fmt.Sprintf("%s: %s free, %s", d.app.root, units.BytesSize(float64(free)), name)
	switch {
	case unix.Access(dir, unix.W_OK) != nil:
		d.fail("store", "Choose another place with --root or MICA_ROOT.", "%s may not be written", dir)
	case name == "nfs" || name == "cifs" || name == "9p":
		d.fail("store", "Put the store on a local disk with --root or MICA_ROOT.", "%s: locks and overlayfs do not work there", text)
	case st.Files > 0 && st.Ffree < 10_000:
		d.warn("store", "mica system prune", "%s, but only %d files more", text, st.Ffree)
	case free < lowDisk:
		d.warn("store", "mica system prune", "%s", text)
	default:
		d.ok("store", "%s", text)
	}
}

var filesystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", 0xff534d42: "cifs", 0x01021997: "9p",
	unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs", unix.FUSE_SUPER_MAGIC: "fuse",
}

// built is a time before which no clock can be right.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *doctor) clock() {
	now := time.Now()
	if now.Before(built) {
		d.fail("clock", "Set the clock: certificates of registries look not yet valid.", "it is %s", now.UTC().Format(time.RFC3339))
		return
	}
	d.ok("clock", "%s", now.UTC().Format(time.RFC3339))
}

// registries asks each whether it answers.
func (d *doctor) registries(ctx context.Context, hosts []string) {
	if len(hosts) == 0 {
		hosts = append([]string{"docker.io"}, d.configured()...)
	}
	for _, h := range hosts {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := d.app.registry().Ping(ctx, h, nil)
		cancel()
		if err != nil {
			d.fail("registry "+h, "Look at the network, the proxy (HTTPS_PROXY) and the certificates; `mica login "+h+"` sets credentials.", "%v", err)
			continue
		}
		d.ok("registry "+h, "it answers")
	}
}
