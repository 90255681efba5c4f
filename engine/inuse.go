package engine

import (
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

// usedBy are the containers of an image. One that runs comes first.
func (e *Engine) usedBy(id digest.Digest) ([]*record.Container, error) {
	list, err := record.NewFolder(e.store).List()
	if err != nil {
		return nil, err
	}
	var running, others []*record.Container
	for _, c := range list {
		switch {
		case c.ImageID != id:
		case c.State.Up() || c.State.Status == record.Restarting:
			running = append(running, c)
		default:
			others = append(others, c)
		}
	}
	return append(running, others...), nil
}

// refuseInUse says whether the image of a container may be deleted, or lose its last
// name, with docker's words. name is what the user called it, an ID if key is "".
func refuseInUse(m Image, key, name string, users []*record.Container, force bool) error {
	if len(users) == 0 {
		return nil
	}
	c := users[0]
	running := c.State.Up() || c.State.Status == record.Restarting
	id, by := m.ID.Encoded()[:12], c.ID[:12]
	switch {
	case key == "" && running:
		return refuse(errs.ErrConflict, "conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", id, by)
	case key == "" && !force:
		return refuse(errs.ErrConflict, "conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", id, by)
	case !force:
		return refuse(errs.ErrConflict, "conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s", name, by, id)
	}
	return nil
}

// withoutUsed leaves out the images that containers are of.
func (e *Engine) withoutUsed(images []Image) ([]Image, error) {
	list, err := record.NewFolder(e.store).List()
	if err != nil || len(list) == 0 {
		return images, err
	}
	used := map[digest.Digest]bool{}
	for _, c := range list {
		used[c.ImageID] = true
	}
	var out []Image
	for _, m := range images {
		if !used[m.ID] {
			out = append(out, m)
		}
	}
	return out, nil
}
