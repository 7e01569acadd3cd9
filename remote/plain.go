package remote

import (
	"context"
	"errors"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

func (f *FS) plain() bool { return f.c.Plain != nil && f.c.Plain() }

var errWhole = vfs.Unsupported.With("the server replaces files as a whole: it cannot append, or write at an offset")

// plainly says why a plain server must not have op: it would replace the file.
func plainly(op vfs.Op) error {
	switch {
	case op.If.Kind != vfs.Always:
		return vfs.Unsupported.With("the server knows no conditions")
	case op.Verb != vfs.Write || op.Appends():
		return nil
	case op.Flag&vfs.FlagExclusive != 0:
		return vfs.Unsupported.With("the server cannot write a file only if it is new")
	case op.Off != 0 || op.Flag&^vfs.FlagSync != vfs.FlagCreate|vfs.FlagTruncate:
		return errWhole
	}
	return nil
}

// appendPlainly appends to what appends whatever it is told.
func appendPlainly(ctx context.Context, cl *client.Client, name string, op vfs.Op) (vfs.Result, error) {
	i, err := cl.Stat(ctx, name)
	if err != nil {
		return vfs.Result{}, err
	}
	if t := i.Meta.Type; t != "stream" && t != "rotate-stream" && t != "control" {
		return vfs.Result{}, errWhole
	}
	op.Off, op.Flag = 0, vfs.FlagCreate|vfs.FlagTruncate
	return write(ctx, cl, name, op, []client.Option{client.NoKey()})
}

// noTouch reports whether an error is that of a server whose touch fails on
// every file that is there.
func noTouch(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == "" && e.Message == "EOF"
}
