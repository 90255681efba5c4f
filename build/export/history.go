package export

import (
	"reflect"
	"time"

	"github.com/mica-build/mica/image"
)

// finishHistory makes history agree with the layers, one entry that is not
// empty for each, and gives every entry a time: a layer's own, and for entries
// without layer that of the layer before, or of the first new one. None is later
// than epoch but those of the base image, which keeps its times.
func finishHistory(h, base []image.History, layers []imageLayer, epoch *time.Time) []image.History {
	h = matchLayers(h, layers)
	n := 0
	for i := range h {
		if h[i].EmptyLayer {
			continue
		}
		if l := layers[n]; h[i].Created == nil && !l.created.IsZero() {
			t := l.created.UTC()
			h[i].Created = &t
		}
		n++
	}
	fillTimes(h)
	if epoch != nil {
		for i := inherited(h, base); i < len(h); i++ {
			if h[i].Created == nil || h[i].Created.After(*epoch) {
				h[i].Created = epoch
			}
		}
	}
	return h
}

// inherited counts the entries of h that are the base image's own.
func inherited(h, base []image.History) int {
	n := 0
	for n < len(h) && n < len(base) && reflect.DeepEqual(h[n], base[n]) {
		n++
	}
	return n
}

// matchLayers adds entries for layers that have none, and marks entries empty
// that have no layer.
func matchLayers(h []image.History, layers []imageLayer) []image.History {
	n := 0
	for i := range h {
		if h[i].EmptyLayer {
			continue
		}
		if n == len(layers) {
			h[i].EmptyLayer = true
			continue
		}
		n++
	}
	for _, l := range layers[n:] {
		h = append(h, image.History{CreatedBy: l.step, Comment: "buildkit.exporter.image.v0"})
	}
	return h
}

func fillTimes(h []image.History) {
	// The entries before the first new layer take that layer's time.
	var t *time.Time
	missing := false
	for _, e := range h {
		if e.Created == nil {
			missing = true
			continue
		}
		t = e.Created
		if missing {
			break
		}
	}
	missing = false
	for i := range h {
		switch {
		case h[i].Created == nil:
			missing = true
			h[i].Created = t
		case missing:
			t = h[i].Created
		}
	}
}
