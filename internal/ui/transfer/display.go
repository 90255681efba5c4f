package transfer

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
)

// A Mode is a way to show transfers.
type Mode string

// The modes.
const (
	Auto  Mode = "auto"  // TTY where the output is a terminal, Plain elsewhere
	TTY   Mode = "tty"   // a bar for each blob under way
	Plain Mode = "plain" // a line when a blob is there
	JSON  Mode = "json"  // each event as one line of JSON
	None  Mode = "none"  // nothing
)

// ParseMode reads a mode; "" is Auto. Errors match errs.ErrInvalid.
func ParseMode(s string, terminal bool) (Mode, error) {
	switch m := Mode(s); m {
	case "", Auto:
		if terminal {
			return TTY, nil
		}
		return Plain, nil
	case TTY, Plain, JSON, None:
		return m, nil
	case "quiet":
		return None, nil
	}
	return "", fmt.Errorf("progress mode %q: %w: it is one of auto, tty, plain, json, none", s, errs.ErrInvalid)
}

// An Event is one step of one blob. State is "started", "moving", "done", or another
// word for what needed no transfer.
type Event struct {
	Blob  string `json:"blob"` // digest
	Type  string `json:"type,omitempty"`
	State string `json:"state"`
	Bytes int64  `json:"bytes"`
	Size  int64  `json:"size"`
	From  string `json:"from,omitempty"`
}

// A Display shows events. It is safe for concurrent use.
type Display struct {
	mu    sync.Mutex
	w     io.Writer
	mode  Mode
	now   func() time.Time
	width int

	begun time.Time
	drawn time.Time
	lines int // on the terminal now
	blobs map[string]*Event
	order []string // those under way, oldest first
	done  int64    // bytes of finished blobs that moved
	total int64    // bytes of all that have to move, as far as is known
}

// New shows events on w.
func New(w io.Writer, mode Mode, width int) *Display {
	return &Display{w: w, mode: mode, now: time.Now, width: max(width, 40), blobs: map[string]*Event{}}
}

// Event shows an event.
func (d *Display) Event(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun.IsZero() {
		d.begun = d.now()
	}
	switch d.mode {
	case JSON:
		d.json(e)
	case Plain:
		if e.State != "started" && e.State != "moving" {
			fmt.Fprintln(d.w, d.line(e))
		}
	case TTY:
		d.track(e)
	}
}

// Line prints a line of text above what moves.
func (d *Display) Line(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.mode {
	case TTY:
		d.clear()
		fmt.Fprintln(d.w, text)
		d.draw()
	case Plain:
		fmt.Fprintln(d.w, text)
	}
}

// Close takes what moves from the terminal and leaves a summary.
func (d *Display) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mode != TTY {
		return
	}
	d.clear()
	if d.done > 0 {
		took := d.now().Sub(d.begun)
		fmt.Fprintf(d.w, "%s in %s (%s/s)\n", format.Size(d.done), round(took), format.Size(rate(d.done, took)))
	}
}

func (d *Display) json(e Event) {
	raw, err := json.Marshal(e)
	if err == nil {
		fmt.Fprintf(d.w, "%s\n", raw)
	}
}

// line is the last line of a blob.
func (d *Display) line(e Event) string {
	s := fmt.Sprintf("%s %s %s", short(e.Blob), e.State, format.Size(e.Size))
	if e.From != "" {
		s += " from " + e.From
	}
	return s
}

// track keeps what is under way, and draws a few times a second.
func (d *Display) track(e Event) {
	b, known := d.blobs[e.Blob]
	if !known {
		b = &Event{}
		d.blobs[e.Blob] = b
		d.order = append(d.order, e.Blob)
		d.total += e.Size
	}
	*b = e
	if e.State != "started" && e.State != "moving" {
		d.order = slices.DeleteFunc(d.order, func(o string) bool { return o == e.Blob })
		delete(d.blobs, e.Blob)
		if e.State == "done" {
			d.done += e.Size
		} else {
			d.total -= e.Size
		}
	}
	if d.now().Sub(d.drawn) >= 100*time.Millisecond {
		d.clear()
		d.draw()
	}
}

// clear takes the drawn lines away.
func (d *Display) clear() {
	if d.lines > 0 {
		fmt.Fprintf(d.w, "\x1b[%dA\x1b[J", d.lines)
		d.lines = 0
	}
}

// most is how many bars are drawn at once.
const most = 12

func (d *Display) draw() {
	d.drawn = d.now()
	moved := d.done
	for _, b := range d.blobs {
		moved += b.Bytes
	}
	var text strings.Builder
	for _, id := range d.order[:min(len(d.order), most)] {
		b := d.blobs[id]
		fmt.Fprintf(&text, "%s %s %s / %s\n", short(id), bar(b.Bytes, b.Size, d.width-44), format.Size(b.Bytes), format.Size(b.Size))
		d.lines++
	}
	took := d.drawn.Sub(d.begun)
	speed := rate(moved, took)
	fmt.Fprintf(&text, "total        %s %s / %s  %s/s", bar(moved, d.total, d.width-44), format.Size(moved), format.Size(d.total), format.Size(speed))
	if left := d.total - moved; speed > 0 && left > 0 && took > time.Second {
		fmt.Fprintf(&text, "  %s left", round(time.Duration(float64(left)/float64(speed)*float64(time.Second))))
	}
	text.WriteByte('\n')
	d.lines++
	_, _ = io.WriteString(d.w, text.String())
}

func bar(n, of int64, width int) string {
	width = max(width, 8)
	full := 0
	if of > 0 {
		full = int(float64(width) * min(float64(n)/float64(of), 1))
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
}

func rate(n int64, took time.Duration) int64 {
	if took <= 0 {
		return 0
	}
	return int64(float64(n) / took.Seconds())
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

// short is a digest's first 12 digits.
func short(d string) string {
	if _, hex, ok := strings.Cut(d, ":"); ok {
		d = hex
	}
	return d[:min(len(d), 12)]
}
