package build

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/errs"
)

// A ShellRequest asks for a command where a build failed.
type ShellRequest struct {
	// Build is the id of the build, or a part of it; "" is the latest whose failed
	// step was kept.
	Build   string
	Secrets []Secret // those that the step is to have again
	SSH     []SSH
	Allow   []string // as in Request
	op.Shell
}

// Shell runs a command in the root filesystem of a build's failed step, as the
// step saw it. What it writes there is gone afterwards. An exit code other than
// 0 is a *sandbox.ExitError.
func (b *Builder) Shell(ctx context.Context, r *ShellRequest) error {
	h := history.Open(b.store)
	entry, raw, err := keptBuild(h, r.Build)
	if err != nil {
		return err
	}
	var kept op.Kept
	if err := json.Unmarshal(raw, &kept); err != nil {
		return fmt.Errorf("failed step of build %s: %w: %w", entry.ID, errs.ErrInvalid, err)
	}
	s, err := b.newSession(&Request{Secrets: r.Secrets, SSH: r.SSH, Allow: r.Allow})
	if err != nil {
		return err
	}
	defer s.close()
	return s.world.Enter(ctx, &kept, r.Shell)
}

func keptBuild(h *history.History, name string) (*history.Build, []byte, error) {
	if name != "" {
		b, err := h.Build(name)
		if err != nil {
			return nil, nil, err
		}
		raw, err := h.Kept(b)
		return b, raw, err
	}
	var raw []byte
	b, err := h.Latest(func(b *history.Build) (ok bool) {
		var err error
		raw, err = h.Kept(b)
		return err == nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("build with a failed step: %w", err)
	}
	return b, raw, nil
}
