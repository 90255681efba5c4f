//go:build linux

package rootless

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// A Refusal says that this machine does not let the caller have a user
// namespace, why, and what to do about it. It matches errs.ErrUnsupported.
type Refusal struct {
	Cause  string // "kernel.unprivileged_userns_clone is 0"
	Advice string // sentences
	Err    error  // what the kernel said
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("user namespace: the kernel refuses it: %s: %v", r.Cause, r.Err)
}

// Unwrap gives Err and errs.ErrUnsupported.
func (r *Refusal) Unwrap() []error { return []error{r.Err, errs.ErrUnsupported} }

// explain finds out why a namespace could not be made.
func explain(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOSPC) &&
		!errors.Is(err, unix.EUSERS) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("user namespace: %w", err)
	}
	r := diagnose(machine{sysctl: readSysctl, status: readStatus, container: inContainer()})
	r.Err = err
	return &r
}

// machine is what diagnose looks at.
type machine struct {
	sysctl    func(name string) string // "" is not there
	status    func(key string) string  // of /proc/self/status
	container bool
}

func diagnose(m machine) Refusal {
	switch {
	case m.sysctl("kernel/unprivileged_userns_clone") == "0":
		return Refusal{
			Cause:  "kernel.unprivileged_userns_clone is 0",
			Advice: "As root: sysctl -w kernel.unprivileged_userns_clone=1, and the same line in /etc/sysctl.d/ to keep it.",
		}
	case m.sysctl("user/max_user_namespaces") == "0":
		return Refusal{
			Cause:  "user.max_user_namespaces is 0",
			Advice: "As root: sysctl -w user.max_user_namespaces=15000, and the same line in /etc/sysctl.d/ to keep it.",
		}
	case m.sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return Refusal{
			Cause: "kernel.apparmor_restrict_unprivileged_userns is 1",
			Advice: "As root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or allow mica alone with the" +
				" AppArmor profile that docs/rootless.md shows.",
		}
	case m.status("Seccomp") == "2" && m.container:
		return Refusal{
			Cause: "the seccomp filter of this container",
			Advice: "Start the container with --security-opt seccomp=unconfined (Kubernetes: securityContext.seccompProfile.type:" +
				" Unconfined), or with a profile that allows clone, unshare and mount; see docs/ci.md.",
		}
	case m.status("Seccomp") == "2":
		return Refusal{
			Cause:  "a seccomp filter on this process",
			Advice: "Run mica outside of what set the filter (a service's SystemCallFilter= or RestrictNamespaces=, a sandbox).",
		}
	case m.container:
		return Refusal{
			Cause:  "the security policy of this container",
			Advice: "See docs/ci.md for what a container needs; mica needs no privileged one.",
		}
	}
	return Refusal{
		Cause:  "no setting says why",
		Advice: "Look for SELinux or another security module (audit log, dmesg), a kernel without CONFIG_USER_NS, or a chroot.",
	}
}

func readSysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func readStatus(key string) string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), "\n"+key+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// inContainer says whether the usual signs of a container are there.
func inContainer() bool {
	for _, f := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(f); err == nil {
			return true
		}
	}
	return os.Getenv("KUBERNETES_SERVICE_HOST") != "" || os.Getenv("container") != ""
}
