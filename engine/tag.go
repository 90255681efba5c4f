package engine

import "context"

// Tag gives the image source one more name. The name is taken from the image
// that had it before, which becomes dangling if it has no other.
func (e *Engine) Tag(ctx context.Context, source, name string) error {
	to, err := parseTarget(name)
	if err != nil {
		return err
	}
	m, at, err := e.find(ctx, source, e.platform)
	if err != nil {
		return err
	}
	return e.store.Tag(ctx, to.String(), m.target(at))
}
