package engine

import (
	"context"
	"time"

	"github.com/mica-build/mica/image"
)

// A Step is one line of an image's history.
type Step struct {
	ID        string    // of the image, for the newest step; "" otherwise
	Created   time.Time // zero when not known
	CreatedBy string
	Comment   string
	Size      int64 // bytes of the step's layer; 0 if it made none
	Tags      []string
}

// History says how an image was made, newest step first.
func (e *Engine) History(ctx context.Context, name string, platform *image.Platform) ([]Step, error) {
	m, err := e.show(ctx, name, platform)
	if err != nil {
		return nil, err
	}
	sizes := e.layerSizes(ctx, m)
	var steps []Step
	for _, h := range m.Config.History {
		s := Step{CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			s.Created = *h.Created
		}
		if !h.EmptyLayer && len(sizes) > 0 {
			s.Size, sizes = sizes[0], sizes[1:]
		}
		steps = append([]Step{s}, steps...)
	}
	for _, size := range sizes { // layers that the history says nothing of
		steps = append([]Step{{Size: size}}, steps...)
	}
	if len(steps) > 0 {
		steps[0].ID, steps[0].Tags = m.ID.String(), short(m.Names)
	}
	return steps, nil
}
