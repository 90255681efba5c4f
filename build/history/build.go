package history

import (
	"slices"
	"strings"
	"time"
)

// A State says how far a build came.
type State string

// The states of a build. Interrupted is never written: it is what is found of a
// build whose process died.
const (
	Running     State = "running"
	Done        State = "done"
	Failed      State = "failed"
	Canceled    State = "canceled"
	Interrupted State = "interrupted"
)

// A Build is one build as a whole.
type Build struct {
	ID      ID     `json:"id"`
	State   State  `json:"state"`
	Version string `json:"version,omitempty"` // of mica

	Context    string            `json:"context"`    // absolute directory, URL or "-"
	Dockerfile string            `json:"dockerfile"` // absolute path, URL, "-", or a path in a remote context
	Target     string            `json:"target,omitempty"`
	Platforms  []string          `json:"platforms,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
	Tags       []string          `json:"tags,omitempty"`

	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	// Same is the earlier build that this one found to be still true, without
	// running the front end. Its steps are those of this build, all cached.
	Same        ID     `json:"same,omitempty"`
	Ran, Cached int    // steps
	ImageID     string `json:"imageID,omitempty"`
	Error       string `json:"error,omitempty"`
	// FailedStep is the number of the step that failed, 0 when none did.
	FailedStep int `json:"failedStep,omitempty"`
	// Sizes are the bytes of the layers that steps made, where they are known.
	Sizes map[string]int64 `json:"sizes,omitempty"`
}

// Duration is how long the build took, or has been running at now.
func (b *Build) Duration(now time.Time) time.Duration {
	switch {
	case !b.Ended.IsZero():
		return b.Ended.Sub(b.Started)
	case b.State == Running:
		return now.Sub(b.Started)
	}
	return 0
}

// SameTarget says whether both built the same thing: the same stage of the same
// Dockerfile with the same context for the same platforms.
func (b *Build) SameTarget(o *Build) bool {
	return b.Context == o.Context && b.Dockerfile == o.Dockerfile && b.Target == o.Target &&
		slices.Equal(b.Platforms, o.Platforms)
}

// Name says what was built, in few words: the tags, or the context.
func (b *Build) Name() string {
	if len(b.Tags) > 0 {
		return strings.Join(b.Tags, ",")
	}
	return b.Context
}
