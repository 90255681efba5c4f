package engine

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
)

// Info describes the engine and the machine it runs on, in the words of
// docker's info.
type Info struct {
	ID                string
	Containers        int
	ContainersRunning int
	ContainersPaused  int
	ContainersStopped int
	Images            int
	Driver            string
	DockerRootDir     string
	CgroupDriver      string
	CgroupVersion     string
	KernelVersion     string
	OperatingSystem   string
	OSType            string
	Architecture      string
	NCPU              int
	MemTotal          int64 // bytes
	Name              string
	ServerVersion     string
	SystemTime        string
	SecurityOptions   []string
	Rootless          bool
}

// Info looks at the store and the machine.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	images, err := e.Images(ctx, Filter{})
	if err != nil {
		return Info{}, err
	}
	i := Info{
		Images: len(images), Driver: "overlay", DockerRootDir: e.store.Root(),
		CgroupDriver: "cgroupfs", CgroupVersion: cgroupVersion(),
		OSType: runtime.GOOS, Architecture: runtime.GOARCH, OperatingSystem: operatingSystem(),
		NCPU: runtime.NumCPU(), SystemTime: time.Now().Format(time.RFC3339Nano),
		Rootless: os.Geteuid() != 0, SecurityOptions: []string{"name=seccomp,profile=builtin"},
	}
	if err := e.countContainers(&i); err != nil {
		return Info{}, err
	}
	if i.Rootless {
		i.SecurityOptions = append(i.SecurityOptions, "name=rootless")
	}
	i.Name, _ = os.Hostname()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		i.KernelVersion = unix.ByteSliceToString(u.Release[:])
		i.Architecture = unix.ByteSliceToString(u.Machine[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		i.MemTotal = int64(s.Totalram) * int64(s.Unit)
	}
	return i, nil
}

func (e *Engine) countContainers(i *Info) error {
	list, err := record.NewFolder(e.store).List()
	if err != nil {
		return err
	}
	i.Containers = len(list)
	for _, c := range list {
		switch c.State.Status {
		case record.Running, record.Restarting:
			i.ContainersRunning++
		case record.Paused:
			i.ContainersPaused++
		default:
			i.ContainersStopped++
		}
	}
	return nil
}

func cgroupVersion() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "2"
	}
	return "1"
}

// operatingSystem is the distribution's name, as /etc/os-release has it.
func operatingSystem() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return runtime.GOOS
}
