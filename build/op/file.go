package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
)

// file carries out a list of file actions. An action's input is one of the
// node's inputs, or the result of an earlier action (index minus the number of
// inputs), or nothing (-1).
type file struct {
	w    *World
	n    *solve.Node
	op   *pb.FileOp
	uses []int         // how often each action's result is changed further or put out
	left *donation     // what the next step of this shape may share; nil until Run
	made []solve.Value // what Run made
	base []solve.Value // the inputs, with live directories that are built upon as stacks
}

func newFile(w *World, n *solve.Node, op *pb.FileOp) (*file, error) {
	f := &file{w: w, n: n, op: op, uses: make([]int, len(op.Actions))}
	for i, a := range op.Actions {
		max := int64(len(n.Inputs) + i)
		if a.Input < -1 || a.Input >= max || a.SecondaryInput < -1 || a.SecondaryInput >= max {
			return nil, fmt.Errorf("file action %d: input %d, %d: %w", i, a.Input, a.SecondaryInput, errs.ErrInvalid)
		}
		if j := int(a.Input) - len(n.Inputs); j >= 0 {
			f.uses[j]++
		}
		if a.Output >= 0 {
			f.uses[i]++
		}
	}
	return f, nil
}

// fileKey is the part of an action that decides its result.
type fileKey struct {
	Input, Secondary, Output int64
	Action                   json.RawMessage
}

// Keys keys trees that the actions change by key, and trees that they only copy
// from by the content of what they copy.
func (f *file) Keys(ctx context.Context, in []solve.Value) (_ *solve.Keys, err error) {
	if in, err = f.w.based(ctx, in, f.changes); err != nil {
		return nil, err
	}
	f.base = in
	def, err := f.preimage(ctx, in, false)
	if err != nil {
		return nil, err
	}
	k := &solve.Keys{Definition: def}
	if slices.ContainsFunc(in, func(v solve.Value) bool { return v.Local != nil }) {
		k.Stable = func(ctx context.Context) (bool, error) {
			ok, err := stable(def, func() (*solve.Preimage, error) { return f.preimage(ctx, in, false) })
			if ok {
				f.leave()
			}
			return ok, err
		}
	}
	if f.hasReadOnlyStack(in) {
		k.Content = func() (*solve.Preimage, error) { return f.preimage(ctx, in, true) }
	}
	return k, nil
}

// leave lets the next step of this shape share files with what Run made.
func (f *file) leave() {
	if len(f.made) == 1 && len(f.made[0].Layers) > 0 {
		top := f.made[0].Layers
		f.left.save(top[len(top)-1])
	}
}

// stable says whether a preimage made anew has the key of the old one: files
// of a live context may be edited while a step copies them.
func stable(old *solve.Preimage, again func() (*solve.Preimage, error)) (bool, error) {
	p, err := again()
	if errors.Is(err, errs.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	before, _, err := old.Key()
	if err != nil {
		return false, err
	}
	after, _, err := p.Key()
	return before == after, err
}

func (f *file) hasReadOnlyStack(in []solve.Value) bool {
	for i, v := range in {
		if v.Local == nil && len(v.Layers) > 0 && !f.changes(i) {
			return true
		}
	}
	return false
}

// changes says whether some action works on top of input i, or looks names up in it.
func (f *file) changes(i int) bool {
	for _, a := range f.op.Actions {
		if a.Input == int64(i) {
			return true
		}
		if o := owner(a); o != nil {
			for _, u := range []*pb.UserOpt{o.User, o.Group} {
				if n := u.GetByName(); n != nil && n.Input == int64(i) {
					return true
				}
			}
		}
	}
	return false
}

func (f *file) preimage(ctx context.Context, in []solve.Value, content bool) (*solve.Preimage, error) {
	inputs := make([]solve.InputKey, len(in))
	byContent := make([]bool, len(in))
	for i, v := range in {
		byContent[i] = v.Local != nil || content && !f.changes(i)
		if !byContent[i] {
			inputs[i].Key = v.Key
			continue
		}
		c, err := f.contentOf(ctx, v, int64(i))
		if err != nil {
			return nil, err
		}
		inputs[i].Content = c
		if v.Local != nil {
			inputs[i].Name = v.Local.Name
		}
	}
	keys := make([]fileKey, len(f.op.Actions))
	for i, a := range f.op.Actions {
		raw, err := f.actionKey(a, byContent)
		if err != nil {
			return nil, err
		}
		keys[i] = fileKey{Input: a.Input, Secondary: a.SecondaryInput, Output: a.Output, Action: raw}
	}
	return solve.NewPreimage("file", keys, inputs...), nil
}

// actionKey is the action as JSON. The place that a copy reads from is left out
// when the content read there is in the key.
func (f *file) actionKey(a *pb.FileAction, byContent []bool) (json.RawMessage, error) {
	if c := a.GetCopy(); c != nil {
		c = c.CloneVT()
		if s := a.SecondaryInput; s >= 0 && int(s) < len(byContent) && byContent[s] {
			c.Src = path.Base(c.Src)
			c.IncludePatterns, c.ExcludePatterns, c.RequiredPaths = nil, nil, nil
		}
		return json.Marshal(struct{ Copy *pb.FileActionCopy }{c})
	}
	return json.Marshal(a.Action)
}

// contentOf digests what all copies take from input i, in order.
func (f *file) contentOf(ctx context.Context, v solve.Value, i int64) (string, error) {
	src, done, err := f.w.source(ctx, v)
	if err != nil {
		return "", err
	}
	defer done()
	var parts []string
	for _, a := range f.op.Actions {
		c := a.GetCopy()
		if c == nil || a.SecondaryInput != i {
			continue
		}
		x, err := fileop.CopyContent(ctx, src, c)
		if err != nil {
			return "", err
		}
		f.w.saw(v, Read{Copy: c, Digest: x.Digest})
		f.w.content(f.n.Digest, int(i), len(parts), c.Src, x)
		parts = append(parts, x.Digest.String())
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return string(solve.Hash("contents", parts...)), nil
}

// Run carries the actions out. Actions that follow one another on one tree
// share one draft, and so make one layer.
func (f *file) Run(ctx context.Context, _ []solve.Value) (_ []solve.Value, err error) {
	in := f.base
	if f.left, err = f.donation(ctx, in); err != nil {
		return nil, err
	}
	defer f.left.close()
	works := make([]*work, len(f.op.Actions))
	vals := make([]*solve.Value, len(f.op.Actions)) // committed results
	defer func() {
		for _, k := range works {
			if k != nil {
				k.discard()
			}
		}
	}()
	var outputs []solve.Value
	for i, a := range f.op.Actions {
		k, err := f.target(ctx, in, a, works, vals)
		if err != nil {
			return nil, err
		}
		works[i] = k
		if err := f.act(ctx, k, in, a, works, vals); err != nil {
			return nil, err
		}
		if f.uses[i] > 1 || a.Output >= 0 {
			v, err := k.commit(ctx)
			works[i] = nil
			if err != nil {
				return nil, err
			}
			vals[i] = &v
		}
		if a.Output >= 0 {
			for int64(len(outputs)) <= a.Output {
				outputs = append(outputs, solve.Value{})
			}
			outputs[a.Output] = *vals[i]
		}
	}
	f.made = outputs
	if !slices.ContainsFunc(in, func(v solve.Value) bool { return v.Local != nil }) {
		f.leave()
	}
	f.w.identify(ctx, f.n, outputs)
	return outputs, nil
}

// target is the tree that a changes: the draft of the action it follows, or a new one.
func (f *file) target(ctx context.Context, in []solve.Value, a *pb.FileAction, works []*work, vals []*solve.Value) (*work, error) {
	if j := int(a.Input) - len(in); j >= 0 {
		if k := works[j]; k != nil {
			works[j] = nil
			return k, nil
		}
		if vals[j] == nil {
			return nil, fmt.Errorf("result of file action %d was used up: %w", j, errs.ErrInvalid)
		}
		return f.w.start(ctx, *vals[j])
	}
	v, err := input(in, a.Input)
	if err != nil {
		return nil, err
	}
	return f.w.start(ctx, v)
}

func (f *file) act(ctx context.Context, k *work, in []solve.Value, a *pb.FileAction, works []*work, vals []*solve.Value) error {
	own, err := f.owner(ctx, k, in, a)
	if err != nil {
		return err
	}
	dst := k.tree.File()
	switch x := a.Action.(type) {
	case *pb.FileAction_Copy:
		src, done, err := f.secondary(ctx, k, in, a, works, vals)
		if err != nil {
			return err
		}
		defer done()
		if src.Digests != nil {
			f.left.offer(src)
		}
		return fileop.CopyTo(ctx, fileop.Dest{Dir: dst, Upper: k.upper}, src, x.Copy, own)
	case *pb.FileAction_Mkdir:
		return fileop.Mkdir(ctx, dst, x.Mkdir, own)
	case *pb.FileAction_Mkfile:
		return fileop.Mkfile(ctx, dst, x.Mkfile, own)
	case *pb.FileAction_Rm:
		return fileop.Rm(ctx, dst, x.Rm)
	case *pb.FileAction_Symlink:
		return fileop.Symlink(ctx, dst, x.Symlink, own)
	}
	return fmt.Errorf("file action %T: %w", a.Action, errs.ErrUnsupported)
}

// secondary opens the tree that a copies from into k.
func (f *file) secondary(ctx context.Context, k *work, in []solve.Value, a *pb.FileAction, works []*work, vals []*solve.Value) (*fileop.Source, func(), error) {
	j := int(a.SecondaryInput) - len(in)
	if j < 0 {
		v, err := input(in, a.SecondaryInput)
		if err != nil {
			return nil, nil, err
		}
		return f.w.copySource(ctx, k, v, a.GetCopy().GetSrc())
	}
	if k := works[j]; k != nil {
		return &fileop.Source{Dir: k.tree.File()}, func() {}, nil
	}
	if vals[j] == nil {
		return nil, nil, fmt.Errorf("result of file action %d was used up: %w", j, errs.ErrInvalid)
	}
	return f.w.source(ctx, *vals[j])
}

func owner(a *pb.FileAction) *pb.ChownOpt {
	switch x := a.Action.(type) {
	case *pb.FileAction_Copy:
		return x.Copy.Owner
	case *pb.FileAction_Mkdir:
		return x.Mkdir.Owner
	case *pb.FileAction_Mkfile:
		return x.Mkfile.Owner
	case *pb.FileAction_Symlink:
		return x.Symlink.Owner
	}
	return nil
}

// owner looks the action's owner up: names in the tree that the names' input
// stands for, which is the one being changed when it is the action's own.
func (f *file) owner(ctx context.Context, k *work, in []solve.Value, a *pb.FileAction) (*fileop.Owner, error) {
	c := owner(a)
	if c == nil {
		return nil, nil
	}
	var done cleanups
	defer func() { done.run() }()
	open := func(u *pb.UserOpt) (*os.File, error) {
		n := u.GetByName()
		if n == nil || n.Input < 0 {
			return nil, nil
		}
		if n.Input == a.Input || int(n.Input) >= len(in) {
			return k.tree.File(), nil
		}
		t, err := f.w.view(ctx, in[n.Input])
		if err != nil {
			return nil, err
		}
		done.add(t.Close)
		return t.File(), nil
	}
	users, err := open(c.User)
	if err != nil {
		return nil, err
	}
	groups, err := open(c.Group)
	if err != nil {
		return nil, err
	}
	o, err := fileop.LookupOwner(c, users, groups)
	if _, workdir := a.Action.(*pb.FileAction_Mkdir); workdir && errors.Is(err, errs.ErrNotFound) {
		// Nobody asked for an owner here: USER may name a user that only the
		// machine which runs the image knows.
		return &fileop.Owner{}, nil
	}
	return o, err
}
