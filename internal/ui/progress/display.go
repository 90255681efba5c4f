package progress

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
)

// A Display draws the statuses of one build. Update may be called by one
// goroutine at a time, and not after Close.
type Display struct {
	out    io.Writer
	mode   Mode
	view   progressui.Display
	start  sync.Once
	close  sync.Once
	events chan *client.SolveStatus
	done   chan struct{}
}

// New makes a display on w. Nothing is drawn, and nothing runs, before the first
// Update, so that a build that knows at once that nothing is to be done pays nothing.
func New(w io.Writer, mode Mode) (*Display, error) {
	d := &Display{out: w, mode: mode, events: make(chan *client.SolveStatus, 16), done: make(chan struct{})}
	var err error
	switch mode {
	case None, Quiet:
		d.view, err = progressui.NewDisplay(io.Discard, progressui.QuietMode)
	default:
		d.view, err = progressui.NewDisplay(w, progressui.DisplayMode(mode))
	}
	if err != nil {
		return nil, fmt.Errorf("progress %s: %w", mode, err)
	}
	return d, nil
}

// Mode is the mode New was called with.
func (d *Display) Mode() Mode { return d.mode }

// Update shows a status. The display keeps it: the caller must not change it any more.
func (d *Display) Update(s *client.SolveStatus) {
	if d.mode == None || d.mode == Quiet {
		return
	}
	d.start.Do(func() { go d.draw() })
	d.events <- s
}

// draw runs until Close: a build that is being cancelled still has things to say.
func (d *Display) draw() {
	defer close(d.done)
	_, _ = d.view.UpdateFrom(context.Background(), d.events)
}

// Close ends the display and returns when all is drawn. Later calls do nothing.
func (d *Display) Close() {
	d.close.Do(func() {
		drawing := true
		d.start.Do(func() { drawing = false })
		if !drawing {
			return
		}
		close(d.events)
		<-d.done
	})
}
