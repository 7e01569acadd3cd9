package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// who tells the shell that a handler works for from others that run meanwhile:
// those of a pipeline, of subshells, in the background.
func who(hc interp.HandlerContext) uintptr {
	return reflect.ValueOf(hc).FieldByName("runner").Pointer()
}

// exported returns the value of a variable that commands may see.
func exported(hc interp.HandlerContext) func(string) string {
	return func(name string) string {
		if v := hc.Env.Get(name); v.Exported {
			return v.String()
		}
		return ""
	}
}

// at returns the path on the server that a word names.
func at(hc interp.HandlerContext, name string) string {
	name = strings.TrimPrefix(name, "pfs:")
	if !path.IsAbs(name) {
		name = path.Join(hc.Dir, name)
	}
	return path.Clean(name)
}

// local returns what a word names on the local machine.
func local(name string) (string, bool) { return strings.CutPrefix(name, "local:") }

// client returns a client of the nodes that the variables name now.
func (s *Shell) client(hc interp.HandlerContext) (*client.Client, error) {
	e := &cli.Env{Getenv: exported(hc), Connect: s.clients.connect}
	cs, err := e.Clients()
	if err != nil {
		return nil, err
	}
	return cs[0], nil
}

// tree returns the server's files for fs.Stat and the like, and the name of a file
// there.
func (s *Shell) tree(ctx context.Context, name string) (fs.FS, string, error) {
	c, err := s.client(interp.HandlerCtx(ctx))
	if err != nil {
		return nil, "", err
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	if name == "" {
		name = "."
	}
	return c.FS(ctx, "/"), name, nil
}

// troubleKey finds where a built-in test wants to hear of what is no answer.
type troubleKey struct{}

// knownKey finds what is known already of one file, so that it is asked for once.
type knownKey struct{}

type known struct {
	path string
	info fs.FileInfo
}

// unmarkedKey is there when no word of a command is marked as a local file: the
// interpreter asks for absolute paths, which do not show it.
type unmarkedKey struct{}

// rooted gives an error of an fs.FS the path that users know.
func rooted(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && !path.IsAbs(pe.Path) {
		return &fs.PathError{Op: pe.Op, Path: path.Join("/", pe.Path), Err: pe.Err}
	}
	return err
}

// heard tells of an error that says nothing of the file, such as a server that is
// not there. A test would take it for an absent file.
func (s *Shell) heard(ctx context.Context, err error) {
	switch vfs.KindOf(err) {
	case vfs.NotFound, vfs.NotDirectory, vfs.Invalid, vfs.Permission:
		return
	}
	if ctx.Err() != nil {
		return
	}
	if t, ok := ctx.Value(troubleKey{}).(*error); ok {
		*t = err
		return
	}
	say(interp.HandlerCtx(ctx).Stderr, "pfs: %s", cli.Explain(err))
}

// readDir lists a directory for a glob.
func (s *Shell) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	if p, ok := inLocal(interp.HandlerCtx(ctx).Dir, name); ok {
		return os.ReadDir(p)
	}
	tree, name, err := s.tree(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := fs.ReadDir(tree, name)
	err = rooted(err)
	switch {
	case vfs.KindOf(err) == vfs.NotDirectory:
		return nil, &fs.PathError{Op: "list", Path: name, Err: syscall.ENOTDIR} // which the glob asks for
	case err != nil:
		s.heard(ctx, err)
	}
	if path.Join("/", name) == interp.HandlerCtx(ctx).Dir {
		list = slices.DeleteFunc(list, func(e fs.DirEntry) bool {
			other := meansOther(e.Name())
			if other {
				say(interp.HandlerCtx(ctx).Stderr, "pfs: patterns leave %s out: it is to be named, as ./%s", e.Name(), e.Name())
			}
			return other
		})
	}
	return list, err
}

// meansOther reports whether a name of the working directory, as a word of its own,
// is something else than that file. Globs leave it out: ./NAME names it.
func meansOther(name string) bool {
	for _, mark := range []string{"local:", "pfs:", "!"} {
		if strings.HasPrefix(name, mark) {
			return true
		}
	}
	return false
}

// inLocal returns the local name behind a path that a glob has made of the working
// directory and a word that begins with "local:".
func inLocal(dir, name string) (string, bool) {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, strings.TrimSuffix(dir, "/")), "/")
	p, ok := local(rest)
	if ok && p == "" {
		p = "."
	}
	return p, ok
}

// tested returns what an absolute path that the interpreter asks for means: a file of
// the server, or else of the local machine.
func tested(ctx context.Context, name string) (remote, here string, isLocal bool) {
	hc := interp.HandlerCtx(ctx)
	word, written := strings.CutPrefix(strings.TrimPrefix(name, strings.TrimSuffix(hc.Dir, "/")+"/"), own)
	switch p, marked := local(word); {
	case written && marked && p == "":
		return "", ".", true
	case written && marked:
		return "", p, true
	case written && word != "":
		return at(hc, word), "", false
	case written:
		return "", "", false
	}
	if p, ok := inLocal(hc.Dir, name); ok && ctx.Value(unmarkedKey{}) == nil {
		return "", p, true
	}
	return name, "", false
}

// statFile describes a file for tests and cd.
func (s *Shell) statFile(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	name, here, isLocal := tested(ctx, name)
	if isLocal && follow {
		return os.Stat(here)
	}
	if isLocal {
		return os.Lstat(here)
	}
	if name == "" {
		return nil, fs.ErrNotExist
	}
	if name == nullDevice {
		return nullInfo{}, nil
	}
	if k, ok := ctx.Value(knownKey{}).(known); ok && k.path == name {
		return k.info, nil
	}
	tree, name, err := s.tree(ctx, name)
	if err != nil {
		return nil, err
	}
	stat := fs.Stat
	if !follow {
		stat = fs.Lstat
	}
	i, err := stat(tree, name)
	if err = rooted(err); err != nil {
		s.heard(ctx, err)
		return nil, err
	}
	return owned{i}, nil
}

// owned is a file that belongs to whoever asks, since the server knows no owners.
type owned struct{ fs.FileInfo }

// Mode is without what is meant for walks of trees: a file that is consumed is a
// regular one.
func (o owned) Mode() fs.FileMode { return o.FileInfo.Mode() &^ fs.ModeIrregular }

// Sys is what tests -O and -N look at.
func (o owned) Sys() any { return ownedByMe() }

// access answers from the mode bits; directories can always be entered.
func (s *Shell) access(ctx context.Context, name string, mode interp.AccessMode) error {
	i, err := s.statFile(ctx, name, true)
	if err != nil {
		return err
	}
	if i.IsDir() && mode == interp.AccessExec {
		return nil
	}
	if i.Mode()&fs.FileMode(mode*0o111) == 0 {
		return fs.ErrPermission
	}
	return nil
}

// refused is an error of opening, in the form in which the interpreter shows it.
func refused(verb, p string, err error) error {
	text := cli.Explain(err)
	for _, said := range []string{verb + " ", verb + ": ", "stat ", "stat: "} { // what comes before the cause
		for _, name := range []string{p, path.Dir(p)} {
			text = strings.TrimPrefix(text, said+name+": ")
		}
	}
	return &fs.PathError{Op: "pfs: " + verb, Path: cli.Plain(p), Err: &cause{cli.Plain(text), err}}
}

// cause is an error in other words.
type cause struct {
	text string
	err  error
}

// Error is the words.
func (c *cause) Error() string { return c.text }

// Unwrap is the error.
func (c *cause) Unwrap() error { return c.err }

// openFile opens what a redirection or source names.
func (s *Shell) openFile(ctx context.Context, name string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	if name, ok := strings.CutPrefix(name, nowhere); ok {
		return s.openScript(ctx, hc, name)
	}
	if name == "" {
		return nil, refused("open", `""`, fs.ErrNotExist)
	}
	if f, ok := standard(hc, name); ok {
		return f, nil
	}
	if p, ok := local(name); ok {
		f, err := os.OpenFile(p, flag, 0o666)
		if err != nil {
			var pe *fs.PathError
			errors.As(err, &pe)
			return nil, refused("open", name, pe.Err)
		}
		return f, nil
	}
	c, err := s.client(hc)
	if err != nil {
		return nil, refused("open", name, err)
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		o, err := s.create(ctx, c, at(hc, name), flag&os.O_APPEND != 0)
		if err != nil {
			return nil, err // not a nil *output
		}
		return o, nil
	}
	return s.input(ctx, c, at(hc, name))
}

// input opens a file of the server to read. The interpreter wants a file of the
// system; behind it content is fetched as it is read.
func (s *Shell) input(ctx context.Context, c *client.Client, p string) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	body, err := c.Open(ctx, p)
	if err != nil {
		return nil, refused("read", p, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(refused("read", p, err), body.Close())
	}
	go func() {
		defer w.Close()
		defer body.Close()
		_, err := io.Copy(w, body)
		if err != nil && !errors.Is(err, syscall.EPIPE) {
			s.fault(ctx, hc, err) // before the reader sees the end
		}
	}()
	return r, nil
}

// fault tells that a file failed after it was opened, and lets the command fail.
func (s *Shell) fault(ctx context.Context, hc interp.HandlerContext, err error) {
	code := cli.Code(err)
	if ctx.Err() != nil {
		code = cli.ExitInterrupted
	} else {
		say(hc.Stderr, "pfs: %s", cli.Explain(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[who(hc)] = code
}

// takeFault returns the exit code of what failed in a shell, once.
func (s *Shell) takeFault(hc interp.HandlerContext) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := s.faults[who(hc)]
	delete(s.faults, who(hc))
	return code
}
