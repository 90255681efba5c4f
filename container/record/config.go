//go:build linux

package record

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/container"
	"github.com/mica-build/mica/image"
)

// A Config is what a container was made with.
type Config struct {
	ID      string // 64 hex digits
	Name    string // without the slash that docker puts before it
	Created time.Time

	Image    string        // as the user named it
	ImageID  digest.Digest // of the image's config
	Manifest image.Descriptor
	Platform image.Platform
	Layers   []image.Descriptor
	Of       image.Config // the image's config

	Options container.Options
	Volumes []Volume
	Labels  map[string]string
	// Expose are the ports the image and the user name, "80/tcp".
	Expose []string
	Ports  []Port
	// Networks are user networks; without any, Options.Sandbox says which network it is.
	Networks []Attachment
	// OpenStdin keeps the standard input open when nobody is attached.
	OpenStdin bool
	// StdinOnce ends it when the first who is attached does.
	StdinOnce bool

	StopSignal  string // "" is SIGTERM
	StopTimeout *int   // seconds; nil is 10
	Restart     Restart
	Health      *Health // nil is none
	Log         Log
	AutoRemove  bool // when it ends
	// Flags are the settings that are only shown.
	Flags map[string]string
}

// A Volume is a named or anonymous volume, mounted.
type Volume struct {
	Name      string
	Target    string
	ReadOnly  bool
	Anonymous bool // it goes with the container, if that is asked for
	NoCopy    bool // what the image has there is not put into it
}

// A Port is one that is published.
type Port struct {
	Container uint16
	Protocol  string // "tcp", "udp"
	HostIP    string // "" is all addresses
	Host      uint16 // 0 is any, as the monitor finds it
}

// An Attachment is one user network of a container.
type Attachment struct {
	Network string
	Aliases []string
	IP, IP6 string // asked for
}

// Restart says when a container that has ended is started again.
type Restart struct {
	Name  string // "no", "on-failure", "always", "unless-stopped"
	Retry int    // on-failure: how often; 0 is without end
}

// Health says how a container's health is found out. A zero duration is docker's default.
type Health struct {
	Test          []string // as in an image's config: NONE, CMD or CMD-SHELL first
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// Log says what becomes of the output.
type Log struct {
	Driver  string // "json-file", "none"
	MaxSize int64  // bytes of one file; 0 is no limit
	MaxFile int    // how many files; 0 is one
}
