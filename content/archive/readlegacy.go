package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// A v1Image is ID/json of docker before 1.10: an image that is one layer on
// another image.
type v1Image struct {
	ID              string     `json:"id"`
	Parent          string     `json:"parent"`
	Created         *time.Time `json:"created"`
	Author          string     `json:"author"`
	Comment         string     `json:"comment"`
	Throwaway       bool       `json:"throwaway"`
	ContainerConfig struct {
		Cmd []string `json:"Cmd"`
	} `json:"container_config"`
}

// readLegacy reads repositories, {"name": {"tag": "id"}}, and the chains of
// images that its ids begin.
func (a *Archive) readLegacy(ctx context.Context) error {
	raw, err := a.s.read("repositories")
	if err != nil {
		return err
	}
	var repos map[string]map[string]string
	if err := json.Unmarshal(raw, &repos); err != nil {
		return fmt.Errorf("repositories: %w: %w", errs.ErrInvalid, err)
	}
	for _, repo := range slices.Sorted(maps.Keys(repos)) {
		for _, tag := range slices.Sorted(maps.Keys(repos[repo])) {
			if err := a.addLegacy(ctx, repos[repo][tag], repo+":"+tag); err != nil {
				return fmt.Errorf("image %s:%s: %w", repo, tag, err)
			}
		}
	}
	return nil
}

// addLegacy makes config and manifest of the image whose top is id.
func (a *Archive) addLegacy(ctx context.Context, id, name string) error {
	top, err := a.s.read(path.Join(id, "json"))
	if err != nil {
		return err
	}
	chain, err := a.chain(id)
	if err != nil {
		return err
	}
	var layers []string
	var diffIDs []digest.Digest
	var history []image.History
	for _, v := range chain {
		h := image.History{Created: v.Created, Author: v.Author, Comment: v.Comment, EmptyLayer: v.Throwaway}
		for i, word := range v.ContainerConfig.Cmd {
			if i > 0 {
				h.CreatedBy += " "
			}
			h.CreatedBy += word
		}
		history = append(history, h)
		if v.Throwaway {
			continue
		}
		file := path.Join(v.ID, "layer.tar")
		diffID, err := a.diffID(ctx, file)
		if err != nil {
			return err
		}
		layers, diffIDs = append(layers, file), append(diffIDs, diffID)
	}
	config, err := upgrade(top, diffIDs, history)
	if err != nil {
		return err
	}
	return a.addDocker(ctx, config, layers, []string{name})
}

// chain follows parents from id and gives the images, lowest first.
func (a *Archive) chain(id string) ([]v1Image, error) {
	var chain []v1Image
	for id != "" {
		if len(chain) >= maxLayers {
			return nil, fmt.Errorf("more than %d layers: %w", maxLayers, errs.ErrTooLarge)
		}
		raw, err := a.s.read(path.Join(id, "json"))
		if err != nil {
			return nil, err
		}
		var v v1Image
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("%s/json: %w: %w", id, errs.ErrInvalid, err)
		}
		v.ID = id
		chain = append(chain, v)
		id = v.Parent
	}
	slices.Reverse(chain)
	return chain, nil
}

// upgrade makes a config of an old image's JSON, as docker 1.10 did.
func upgrade(top []byte, diffIDs []digest.Digest, history []image.History) ([]byte, error) {
	var c map[string]any
	if err := json.Unmarshal(top, &c); err != nil {
		return nil, fmt.Errorf("image JSON: %w: %w", errs.ErrInvalid, err)
	}
	for _, k := range []string{"id", "parent", "Size", "parent_id", "layer_id", "throwaway"} {
		delete(c, k)
	}
	if diffIDs == nil {
		diffIDs = []digest.Digest{}
	}
	c["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffIDs}
	c["history"] = history
	return json.Marshal(c)
}
