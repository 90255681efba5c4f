package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/files"
	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/snapshot"
)

// withRoot calls f with the root of a container: of one that runs as its first process sees
// it or, with bare, without its mounts; of another one mounted for the purpose. Only a
// root that is asked for as writable may be written to.
func (a *app) withRoot(ctx context.Context, c *record.Container, writable, bare bool, f func(root *os.File) error) error {
	if c.Kept && c.State.Up() {
		op := monitor.Root
		if bare {
			op = monitor.Tree
		}
		conn, err := monitor.Dial(ctx, c)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, got, err := conn.Ask(ctx, monitor.Request{Op: op})
		if err != nil {
			return err
		}
		defer closeFiles(got)
		if len(got) != 1 {
			return fmt.Errorf("root of container %s: %w", c.Name, errs.ErrNotFound)
		}
		return f(got[0])
	}
	return a.withMounted(ctx, c, writable, f)
}

func closeFiles(list []*os.File) {
	for _, f := range list {
		f.Close()
	}
}

// withMounted mounts the root of a container that does not run.
func (a *app) withMounted(ctx context.Context, c *record.Container, writable bool, f func(root *os.File) error) error {
	folder, err := a.containers()
	if err != nil {
		return err
	}
	lock, err := folder.Keep(ctx, c)
	if err != nil {
		return err
	}
	defer lock.Release()
	lower, err := a.lowerOf(ctx, c)
	if err != nil {
		return err
	}
	s, err := a.store()
	if err != nil {
		return err
	}
	r := snapshot.Request{Lower: append(lower, c.Upper())}
	if writable {
		r = snapshot.Request{Lower: lower, Upper: c.Upper(), Work: c.Work()}
	}
	tree, err := newMounter(s).Mount(ctx, r)
	if err != nil {
		return err
	}
	err = f(tree.File())
	if writable {
		err = errors.Join(err, tree.Settle())
	}
	return errors.Join(err, tree.Close())
}

// lowerOf are the directories of the image's layers, bottom first.
func (a *app) lowerOf(ctx context.Context, c *record.Container) ([]string, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	layers, err := s.UnpackStack(ctx, c.Layers, c.Of.RootFS.DiffIDs)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, l := range layers {
		dirs = append(dirs, l.Dir)
	}
	return dirs, nil
}

// changesOf lists what a container has changed.
func (a *app) changesOf(ctx context.Context, c *record.Container) ([]files.Change, error) {
	lower, err := a.lowerOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(lower) == 0 { // FROM scratch
		empty, err := a.emptyDir(ctx)
		if err != nil {
			return nil, err
		}
		lower = []string{empty}
	}
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	tree, err := newMounter(s).Mount(ctx, snapshot.Request{Lower: lower})
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	return files.Changes(ctx, c.Upper(), tree.File())
}

func (a *app) emptyDir(ctx context.Context) (string, error) {
	s, err := a.store()
	if err != nil {
		return "", err
	}
	return s.TempDir(ctx, "empty-")
}

func newDiffCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use: "diff CONTAINER", Short: "Show which files a container has changed", Args: args(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			list, err := a.changesOf(cmd.Context(), c)
			if err != nil {
				return err
			}
			if spec == "" {
				spec = "{{.Type}} {{.Path}}"
			}
			rows := make([]diffRow, len(list))
			for i, c := range list {
				rows[i] = diffRow{c.Path, c.Kind}
			}
			return format.Rows(a.stdout, spec, "{{.Type}}\t{{.Path}}", rows)
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	return cmd
}

// A diffRow is one line of `mica diff`.
type diffRow struct {
	Path string
	Type string `header:"CHANGE TYPE"`
}

func newExportCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "export [OPTIONS] CONTAINER", Short: "Write the files of a container as a tar", Args: args(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			w, done, err := a.tarOutput(output)
			if err != nil {
				return err
			}
			err = a.withRoot(cmd.Context(), c, false, true, func(root *os.File) error {
				return files.Pack(cmd.Context(), w, root, "/", files.PackOptions{})
			})
			if derr := done(err == nil); err == nil {
				err = derr
			}
			if err == nil {
				a.event(c, "export", nil)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` to write to instead of standard output")
	return cmd
}

// tarOutput opens what a tar is written to. done keeps the file only if all is well.
func (a *app) tarOutput(name string) (w io.Writer, done func(ok bool) error, err error) {
	if name == "" || name == "-" {
		if isTerminal(a.stdout) {
			return nil, nil, errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
		}
		return a.stdout, func(bool) error { return nil }, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".mica-*")
	if err != nil {
		return nil, nil, err
	}
	return f, func(ok bool) error {
		err := errors.Join(f.Chmod(0o644), f.Close())
		if ok && err == nil {
			return os.Rename(f.Name(), name)
		}
		return errors.Join(err, os.Remove(f.Name()))
	}, nil
}

type commitOptions struct {
	author, message string
	changes         []string
	pause           bool
}

func newCommitCmd(a *app) *cobra.Command {
	var o commitOptions
	cmd := &cobra.Command{
		Use: "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]", Short: "Make an image of a container", Args: args(1, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return a.commit(cmd.Context(), o, args[0], name)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.author, "author", "a", "", "author, as in \"Jo <jo@example.com>\"")
	f.StringVarP(&o.message, "message", "m", "", "comment in the image's history")
	f.StringArrayVarP(&o.changes, "change", "c", nil, "line of a Dockerfile that changes the configuration")
	f.BoolVarP(&o.pause, "pause", "p", true, "pause the container meanwhile")
	return cmd
}

func (a *app) commit(ctx context.Context, o commitOptions, container, name string) error {
	c, err := a.findContainer(container)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	if o.pause && c.Kept && c.State.Status == record.Running {
		if _, err := a.ask(ctx, c, monitor.Request{Op: monitor.Pause}); err != nil && !errors.Is(err, errs.ErrUnsupported) {
			return err
		} else if err == nil {
			defer func() { _, _ = a.ask(context.WithoutCancel(ctx), c, monitor.Request{Op: monitor.Unpause}) }()
		}
	}
	id, err := e.Commit(ctx, engine.CommitOptions{
		Name: name, Author: o.author, Message: o.message, Changes: o.changes,
		Layers: c.Layers, Config: committed(c), Command: strings.Join(c.Options.Args(c.Of), " "),
		Upper: c.Upper(), Drop: files.Placeholders(), Leave: files.IsPlaceholder,
	})
	if err != nil {
		return err
	}
	a.event(c, "commit", map[string]string{"imageID": id.String(), "imageRef": name})
	fmt.Fprintln(a.stdout, id)
	return nil
}

// cpOptions are the flags of cp.
type cpOptions struct{ archive, follow, quiet bool }

func newCpCmd(a *app) *cobra.Command {
	var o cpOptions
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] CONTAINER:PATH DEST|- \n	mica cp [OPTIONS] SRC|- CONTAINER:PATH",
		Short: "Copy files out of a container, or into it", Args: args(2, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.cp(cmd.Context(), o, args[0], args[1]) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.archive, "archive", "a", false, "keep users and groups")
	f.BoolVarP(&o.follow, "follow-link", "L", false, "copy what a symbolic link leads to")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "accepted: nothing is printed but errors")
	return cmd
}

// splitCp reads CONTAINER:PATH. A path that is absolute or begins with a dot is of this
// machine.
func splitCp(s string) (container, file string) {
	if filepath.IsAbs(s) || strings.HasPrefix(s, ".") {
		return "", s
	}
	container, file, ok := strings.Cut(s, ":")
	if !ok {
		return "", s
	}
	return container, file
}

func (a *app) cp(ctx context.Context, o cpOptions, from, to string) error {
	fromName, fromPath := splitCp(from)
	toName, toPath := splitCp(to)
	switch {
	case fromName != "" && toName != "":
		return errors.New("copying between containers is not supported")
	case fromName == "" && toName == "":
		return errors.New("must specify at least one container source")
	case fromName != "":
		c, err := a.findContainer(fromName)
		if err != nil {
			return err
		}
		return a.withRoot(ctx, c, false, false, func(root *os.File) error { return a.cpOut(ctx, o, root, fromPath, toPath) })
	}
	c, err := a.findContainer(toName)
	if err != nil {
		return err
	}
	return a.withRoot(ctx, c, true, false, func(root *os.File) error { return a.cpIn(ctx, o, fromPath, root, toPath) })
}

// cpOut copies out of a container.
func (a *app) cpOut(ctx context.Context, o cpOptions, root *os.File, name, dest string) error {
	name = absolute(name)
	if dest == "-" {
		return files.Pack(ctx, a.stdout, root, name, files.PackOptions{Name: baseOf(name), Follow: o.follow})
	}
	here, err := os.Open("/")
	if err != nil {
		return err
	}
	defer here.Close()
	if abs, err := filepath.Abs(dest); err == nil {
		dest = keepTrailing(abs, dest)
	}
	po := files.PackOptions{Follow: o.follow}
	if !o.archive {
		po.Owner = &[2]int{os.Getuid(), os.Getgid()}
	}
	return copying{root, here}.copy(ctx, name, dest, po)
}

// cpIn copies into a container.
func (a *app) cpIn(ctx context.Context, o cpOptions, name string, root *os.File, dest string) error {
	dest = absolute(dest)
	if name == "-" {
		return files.Unpack(ctx, a.stdin, root, dest)
	}
	here, err := os.Open("/")
	if err != nil {
		return err
	}
	defer here.Close()
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	po := files.PackOptions{Follow: o.follow}
	if !o.archive {
		po.Owner = &[2]int{0, 0}
	}
	return copying{here, root}.copy(ctx, keepTrailing(abs, name), dest, po)
}

// absolute is a path of a container, which is looked up from its root.
func absolute(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + name
}

// keepTrailing gives abs the ending of s that says that a directory is meant.
func keepTrailing(abs, s string) string {
	switch {
	case s == "." || strings.HasSuffix(s, "/."):
		return strings.TrimSuffix(abs, "/") + "/."
	case strings.HasSuffix(s, "/"):
		return strings.TrimSuffix(abs, "/") + "/"
	}
	return abs
}

// baseOf is the name under which a path is packed.
func baseOf(name string) string {
	base := path.Base(path.Clean(name))
	if base == "/" || base == "." || strings.HasSuffix(name, "/.") {
		return ""
	}
	return base
}

// A copying copies from one root to another.
type copying struct{ from, to *os.File }

func (t copying) copy(ctx context.Context, name, dest string, o files.PackOptions) error {
	kind, err := t.kind(name, o.Follow)
	if err != nil {
		return err
	}
	if kind == files.Nothing {
		return fmt.Errorf("could not find the file %s: %w", name, errs.ErrNotFound)
	}
	if kind == files.Other && strings.HasSuffix(name, "/") {
		return fmt.Errorf("%s: %w", name, unix.ENOTDIR)
	}
	at, err := files.KindOf(t.to, dest)
	if err != nil {
		return err
	}
	parent, err := files.KindOf(t.to, path.Dir(path.Clean(dest)))
	if err != nil {
		return err
	}
	contents := strings.HasSuffix(name, "/.") || path.Clean(name) == "/"
	dir, as, err := files.Place(dest, at, parent, kind, path.Base(path.Clean(name)), contents)
	if err != nil {
		return err
	}
	o.Name = as
	r, w := io.Pipe()
	go func() { w.CloseWithError(files.Pack(ctx, w, t.from, name, o)) }()
	err = files.Unpack(ctx, r, t.to, dir)
	r.CloseWithError(err)
	return err
}

// kind is what is at a path of the source; a link is what it leads to only if it is followed.
func (t copying) kind(name string, follow bool) (files.Kind, error) {
	if !follow {
		st, err := safepath.Lstat(t.from, path.Clean(name))
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK && !strings.HasSuffix(name, "/") && !strings.HasSuffix(name, "/.") {
			return files.Other, nil
		}
	}
	return files.KindOf(t.from, name)
}
