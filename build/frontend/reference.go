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

func (r *reference) ReadFile(ctx context.Context, req gateway.ReadRequest) ([]byte, error) {
	limit := int64(16 << 20)
	off := 0
	if req.Range != nil {
		off = req.Range.Offset
		if req.Range.Length > 0 {
			limit = int64(off) + int64(req.Range.Length)
		}
	}
	data, err := r.b.ReadFile(ctx, r.edge, req.Filename, limit)
	if err != nil {
		return nil, err
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
