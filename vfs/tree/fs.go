package tree

import (
	"context"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/content"
)

// Default permissions of what an Op makes without a mode.
const (
	DirMode  vfs.Mode = 0o755
	FileMode vfs.Mode = 0o644
)

// Readme is the name of the documentation in the root.
const Readme = "README"

// Options make a filesystem of the tree. They follow from the settings of the
// mount and never change.
type Options struct {
	Type  string      // of the plugin: Meta.Name of every file
	Verbs vfs.VerbSet // others are Unsupported
	// Chunks reads long content; nil where there is none.
	Chunks vfs.Chunks
	// Readme says that the verb Mount makes /README, mode 0444, of its Data.
	Readme bool
	// Dirs and Files are made by the verb Mount after it, with the directories
	// above them.
	Dirs  []vfs.Path
	Files []File
	// Home is the directory below which everything may be made and changed;
	// elsewhere nothing may, for the reason Outside. Root: no such limit.
	Home    vfs.Path
	Outside string
	// Parents makes missing directories above what is written, created,
	// touched or renamed to.
	Parents bool
	// Freed is told of each file and directory that ceases to be, within the
	// Event that ends it; nil: nobody is.
	Freed func(tx vfs.Tx, file uint64)
}

// File is a file that a mount starts with.
type File struct {
	Path vfs.Path
	Data []byte
}

// FS is a filesystem of directories, files and links. It is a [vfs.Folder], a
// [vfs.Timer], a [vfs.Finder], a [vfs.Linker] and a [vfs.Checker], and keeps no state: one FS
// serves any number of readers beside its one writer.
type FS struct{ o Options }

var (
	_ vfs.Folder  = (*FS)(nil)
	_ vfs.Timer   = (*FS)(nil)
	_ vfs.Finder  = (*FS)(nil)
	_ vfs.Linker  = (*FS)(nil)
	_ vfs.Checker = (*FS)(nil)
)

// New returns the filesystem that o describes; [vfs.Invalid] when what it is
// to start with contradicts itself: one name for two things.
func New(o Options) (*FS, error) {
	if o.Home == "" {
		o.Home = vfs.Root
	}
	taken := map[vfs.Path]bool{} // value: it is a directory
	claim := func(p vfs.Path, dir bool) error {
		for d := p.Dir(); !d.IsRoot(); d = d.Dir() {
			if isDir, ok := taken[d]; ok && !isDir {
				return vfs.Invalid.Withf("%s is a file and cannot hold %s", d, p)
			}
			taken[d] = true
		}
		if isDir, ok := taken[p]; p.IsRoot() && !dir || ok && !(isDir && dir) {
			return vfs.Invalid.Withf("%s is given twice", p)
		}
		taken[p] = dir
		return nil
	}
	if o.Readme {
		taken[vfs.Root.Child(Readme)] = false
	}
	for _, p := range o.Dirs {
		if err := claim(p, true); err != nil {
			return nil, err
		}
	}
	for _, f := range o.Files {
		if err := claim(f.Path, false); err != nil {
			return nil, err
		}
	}
	return &FS{o}, nil
}

// Stat returns what is known of p; a link itself, not what it points to.
func (t *FS) Stat(_ context.Context, v vfs.View, p vfs.Path) (vfs.Info, error) {
	n, err := find(v, p)
	if err != nil {
		return vfs.Info{}, err
	}
	return t.info(n), nil
}

// List returns the entries of the directory p behind the name after, at most
// limit of them (0: all), in order of the bytes of their names.
func (t *FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	n, err := follow(v, p)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, vfs.NotDirectory
	}
	prefix := idKey(entryKey, n.id)
	var from []byte
	if after != "" {
		from = nameKey(n.id, after+"\x00")
	}
	out := []vfs.Info{}
	for _, e := range v.Scan(prefix, from) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, _ := decodeEntry(e)
		out = append(out, t.info(must(v, id)))
		if len(out) == limit {
			break
		}
	}
	return out, nil
}

// ReadAt fills b from off of the file p, as [io.ReaderAt].
func (t *FS) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	n, err := follow(v, p)
	if err != nil {
		return 0, err
	}
	if n.mode.IsDir() {
		return 0, vfs.IsDirectory
	}
	return content.ReadAt(ctx, v, t.o.Chunks, n.extents(), n.size, b, off)
}

func (t *FS) info(n node) vfs.Info {
	role := "file"
	switch n.kind() {
	case dirKind:
		role = "dir"
	case linkKind:
		role = "symlink"
	case fileKind:
		if n.parent == rootID && n.name == Readme && !t.o.Home.IsRoot() {
			role = "doc"
		}
	}
	return n.info(t.o.Type, role)
}

// guard refuses changes outside the home directory.
func (t *FS) guard(p vfs.Path) error {
	if t.o.Home.IsRoot() || p != t.o.Home && p.Under(t.o.Home) {
		return nil
	}
	return vfs.Permission.With(t.o.Outside)
}

// ParsePath is [vfs.ParsePath] for a path in a setting; the error names it.
func ParsePath(s string) (vfs.Path, error) {
	p, err := vfs.ParsePath(s)
	if err != nil {
		return "", vfs.Invalid.Withf("%q: %v", s, err)
	}
	return p, nil
}
