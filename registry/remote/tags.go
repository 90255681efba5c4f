package remote

import (
	"context"
	"fmt"
	"net/http"
)

// Tags lists the tags of the repository in the registry's order. The errors are
// those of Resolve.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	ctx = r.host.scoped(ctx, r.ref.Path, "pull")
	var all []string
	err := eachPage(ctx, r.host, r.url("tags", "list"), func(page struct {
		Tags []string `json:"tags"`
	},
	) bool {
		all = append(all, page.Tags...)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", r.ref.FamiliarName(), err)
	}
	return all, nil
}

// Delete removes a tag, or a manifest with all its tags if name is a digest. What
// the registry does not have is errs.ErrNotFound; registries may be made not to
// delete, and say 405 then, or 400.
func (r *Repository) Delete(ctx context.Context, name string) error {
	name = r.identifier(name)
	ctx = r.host.scoped(ctx, r.ref.Path, "pull", "delete")
	resp, err := r.host.do(ctx, http.MethodDelete, r.url("manifests", name), nil, nil)
	if err != nil {
		return fmt.Errorf("delete %s: %w", r.show(name), err)
	}
	return resp.Body.Close()
}
