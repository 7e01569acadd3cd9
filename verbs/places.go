package verbs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// entry is what a tree holds under a name.
type entry struct {
	name string // the last element
	mode fs.FileMode
	size int64 // bytes
	time time.Time
	why  string // set: it is not to be copied, nor replaced, since it is this
	err  error  // set: it is not to be had

	// How it is to be written:
	only    bool   // only where there is none
	over    string // set: only in the place of what write has returned this version of
	durable bool   // what it is copied from is to be removed
}

// exec is who may execute it.
func (e entry) exec() fs.FileMode { return e.mode & 0o111 }

// source is a tree to copy from. Paths are relative, with slashes; "." is its root.
type source interface {
	// entries goes through a directory by the bytes of the names; an error ends it.
	entries(ctx context.Context, rel string) iter.Seq2[entry, error]
	look(ctx context.Context, rel string) (entry, error) // no link is followed
	open(ctx context.Context, rel string) (io.ReadCloser, error)
	readlink(ctx context.Context, rel string) (string, error)
	digest(ctx context.Context, rel string) (string, error) // xxh3, as client.FileDigest has it
	name(rel string) string                                 // for messages
}

// target is a tree to copy to. No method leaves it, whatever the names.
type target interface {
	source
	changes
}

// changes are how a target is changed.
type changes interface {
	mkdir(ctx context.Context, rel string, mode fs.FileMode) error // one that is there is fine
	// write makes a file of r, of the size and mode of e. It appears whole or not
	// at all; one that it replaces keeps its mode. One that e says not to replace is
	// vfs.Stale or fs.ErrExist; vfs.Unsupported: it cannot be told to leave one. It
	// returns the version of what it wrote, or "" where none is told.
	write(ctx context.Context, rel string, r io.Reader, e entry) (version string, err error)
	// symlink makes a link, in the place of another one unless only: then what is there
	// is fs.ErrExist.
	symlink(ctx context.Context, to, rel string, only bool) error
	// attr sets the permission bits, and the time where that can be set; zero: not.
	attr(ctx context.Context, rel string, mode fs.FileMode, t time.Time) error
	remove(ctx context.Context, rel string, all bool) error
	rename(ctx context.Context, from, to string) error // in one directory, to a name that is free
}

// hash returns what digest gives for the bytes that sum was fed with.
func hash(sum *xxh3.Hasher) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, sum.Sum128().Lo))
}

// infoEntry is what a server lists. A name that is none in a directory is an
// error: nothing is to leave the tree.
func infoEntry(i client.Info) entry {
	e := entry{name: i.Name, size: i.Size, mode: fs.FileMode(i.Mode) & fs.ModePerm, time: i.ModTime}
	switch {
	case i.IsLink():
		e.mode |= fs.ModeSymlink
	case i.IsDir:
		e.mode |= fs.ModeDir
	case i.Control():
		e.why = "there to command, not to hold content"
	}
	if strings.ContainsAny(i.Name, "/\x00") || i.Name == "" || i.Name == "." || i.Name == ".." {
		e.err = vfs.Invalid.With(fmt.Sprintf("the server lists %q, which is no name", i.Name))
	}
	return e
}
