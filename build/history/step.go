package history

import (
	"encoding/json"
	"time"
)

// A StepState says how a step was resolved.
type StepState string

// The states of a step.
const (
	StepCached   StepState = "cached"
	StepRan      StepState = "ran"
	StepFailed   StepState = "failed"
	StepCanceled StepState = "canceled" // stopped because another step failed, or by the user
	StepWould    StepState = "would run"
	StepSource   StepState = "source" // an image, a context or a composition: there is nothing to run
)

// A Step is one vertex of a build's graph.
type Step struct {
	Number int    `json:"n"`      // in the order in which steps began, from 1
	Vertex string `json:"vertex"` // its identity in this build
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	State  StepState
	// File, Line and LastLine are the place in the Dockerfile, Text the lines as
	// they stand there; zero for a step that no line made.
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	LastLine int    `json:"lastLine,omitempty"`
	Text     string `json:"text,omitempty"`

	Source  string   `json:"source,omitempty"`  // identifier of an image, URL or context
	Exclude []string `json:"exclude,omitempty"` // of a context: the .dockerignore patterns
	Inputs  []string `json:"inputs,omitempty"`  // vertexes
	// Key is the cache key by definition and Definition what it is the hash of;
	// Content is what the key by content is the hash of, where it was needed.
	Key        string          `json:"key,omitempty"`
	Definition json.RawMessage `json:"definition,omitempty"`
	Content    json.RawMessage `json:"content,omitempty"`
	Results    []string        `json:"results,omitempty"` // keys of the outputs
	Reads      []Read          `json:"reads,omitempty"`

	NoCache  bool          `json:"noCache,omitempty"`
	Unstable bool          `json:"unstable,omitempty"` // what it read changed while it ran: not remembered
	Started  time.Time     `json:"started"`
	Wall     time.Duration `json:"wall"`
	CPU      time.Duration `json:"cpu,omitempty"`   // of the step's processes
	Layer    string        `json:"layer,omitempty"` // that it made, in the store
	Bytes    int64         `json:"bytes,omitempty"` // of that layer; 0 is unknown
	Logged   int64         `json:"logged,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// A Read is a part of an input that counts by its content.
type Read struct {
	Input   int    `json:"input"`
	Index   int    `json:"index"` // among the reads of one input
	Digest  string `json:"digest"`
	Listing string `json:"listing"` // name of the Listing
}

// Ran says that the step was not answered from the cache.
func (s *Step) Ran() bool {
	switch s.State {
	case StepRan, StepFailed, StepCanceled, StepWould:
		return s.Key != ""
	}
	return false
}

// reads gives the reads of one input.
func (s *Step) reads(input int) []Read {
	var out []Read
	for _, r := range s.Reads {
		if r.Input == input {
			out = append(out, r)
		}
	}
	return out
}
