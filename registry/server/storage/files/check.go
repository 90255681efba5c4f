package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mica-build/mica/registry/server/storage"
)

var _ storage.Checker = (*index)(nil)

// Check reads every log.
func (x *index) Check(ctx context.Context, f func(repo, what string) error) error {
	return x.eachRepository(ctx, func(name string) error {
		r := newRepo(x.root, name)
		aside := damagedName(r.path)
		if _, err := os.Stat(aside); !errors.Is(err, fs.ErrNotExist) {
			what := fmt.Sprintf("what was behind a damage of the index is in %s; look at it and remove it: until then nothing is collected", aside)
			if err := f(name, what); err != nil {
				return err
			}
		}
		if err := r.whole(); err != nil {
			return f(name, err.Error())
		}
		return nil
	})
}
