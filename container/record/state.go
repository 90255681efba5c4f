//go:build linux

package record

import (
	"net/netip"
	"time"
)

// A Status is what a container is doing, in docker's words.
type Status string

// The states of a container.
const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting" // it has ended and will be started again
	Exited     Status = "exited"
	Dead       Status = "dead" // it could not be removed
)

// A State is how a container is.
type State struct {
	Status     Status
	PID        int // of its first process, while it runs
	ExitCode   int
	Error      string // why it could not be started, or what became of it
	OOMKilled  bool
	Started    time.Time
	Finished   time.Time
	Restarts   int
	Stopped    bool // by the user, so that it is not to be restarted
	Health     *HealthState
	Address    netip.Prefix // on its network
	Gateway    netip.Addr
	Networks   []Endpoint
	Ports      []Port // as published
	MonitorPID int
}

// An Endpoint is a container's place in a user network.
type Endpoint struct {
	Network string
	Address netip.Prefix
	Gateway netip.Addr
	MAC     string
}

// Up says whether the container has processes.
func (s *State) Up() bool { return s.Status == Running || s.Status == Paused }

// A HealthState is what the checks said.
type HealthState struct {
	Status  string // "starting", "healthy", "unhealthy"
	Failing int    // how often in a row
	Log     []HealthResult
}

// A HealthResult is one check.
type HealthResult struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}
