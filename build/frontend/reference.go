package frontend

import (
	"context"
	"fmt"
	"path"

	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	fstypes "github.com/tonistiigi/fsutil/types"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
)

// reference is a handle on a result that may not be solved yet.
type reference struct {
	b    Backend
	edge solve.Edge
	def  *pb.Definition
}

var _ gateway.Reference = (*reference)(nil)

func (r *reference) ToState() (llb.State, error) {
	op, err := llb.NewDefinitionOp(r.def)
	if err != nil {
		return llb.State{}, err
	}
	return llb.NewState(op), nil
}

func (r *reference) Evaluate(ctx context.Context) error {
	_, err := r.b.Stat(ctx, r.edge, "/")
	return err
}

// maxFile is the most bytes of a file that the front end gets.
const maxFile = 16 << 20

func (r *reference) ReadFile(ctx context.Context, req gateway.ReadRequest) ([]byte, error) {
	limit := int64(maxFile + 1)
	off := 0
	if req.Range != nil { // the head of an archive, say, to see what it is
		off = req.Range.Offset
		if req.Range.Length > 0 {
			limit = min(limit, int64(off)+int64(req.Range.Length))
		}
	}
	data, err := r.b.ReadFile(ctx, r.edge, req.Filename, limit)
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes: %w", req.Filename, maxFile, errs.ErrTooLarge)
	}
	if off > len(data) {
		off = len(data)
	}
	return data[off:], nil
}

func (r *reference) StatFile(ctx context.Context, req gateway.StatRequest) (*fstypes.Stat, error) {
	fi, err := r.b.Stat(ctx, r.edge, req.Path)
	if err != nil {
		return nil, err
	}
	return &fstypes.Stat{Path: path.Base(req.Path), Size: fi.Size, Mode: fi.Mode}, nil
}

func (r *reference) ReadDir(context.Context, gateway.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, fmt.Errorf("list a directory for the front end: %w", errs.ErrUnsupported)
}
