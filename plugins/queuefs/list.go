package queuefs

import (
	"context"
	"iter"
	"slices"
	"sort"

	"github.com/pfs-project/pfs/vfs"
)

// List names the controls of a queue and the queues in it, always all of them,
// or the messages in one of its directories.
func (f FS) List(ctx context.Context, v vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	s := locate(p)
	id, ok := find(v, s.queue)
	switch {
	case !ok:
		return nil, vfs.NotFound
	case isEarly(v) && !s.isEarly():
		return nil, vfs.NotFound
	case s.entry != "":
		if _, ok := findEntry(v, id, s); !ok {
			return nil, vfs.NotFound
		}
		return nil, vfs.NotDirectory
	case !s.isDir():
		return nil, vfs.NotDirectory
	}
	infos := []vfs.Info{}
	add := func(info vfs.Info, err error) (more bool, _ error) {
		infos = append(infos, info)
		return err == nil && len(infos) != limit, err
	}
	if s.file != "" {
		for name, r := range residents(v, id, s.file, after) {
			if more, err := add(f.entryInfo(ctx, r, name)); !more {
				return infos, err
			}
		}
		return infos, nil
	}
	var t tally
	if id != rootID {
		t = getTally(v, id)
	}
	for name, queueID := range entries(v, id, after) {
		info, err := f.namedInfo(ctx, v, id, &t, name, queueID)
		if more, err := add(info, err); !more {
			return infos, err
		}
	}
	return infos, nil
}

// namedInfo describes a queue, or a control of the queue id.
func (f FS) namedInfo(ctx context.Context, v vfs.View, id uint64, t *tally, name string, queueID uint64) (vfs.Info, error) {
	if queueID != 0 {
		return dirInfo(v, queueID, name), nil
	}
	return f.fileInfo(ctx, v, id, t, name)
}

// entries yields the names in a directory after `after`, in order: of queues
// with their ids, of controls with 0.
func entries(v vfs.View, id uint64, after string) iter.Seq2[string, uint64] {
	files := fileNames(v, id)
	files = files[sort.SearchStrings(files, after):]
	if after != "" && len(files) > 0 && files[0] == after {
		files = files[1:]
	}
	return func(yield func(string, uint64) bool) {
		prefix := key(rowEntry, id)
		var from []byte
		if after != "" {
			from = append(entryKey(id, after), 0)
		}
		for k, b := range v.Scan(prefix, from) {
			name := string(k[len(prefix):])
			for ; len(files) > 0 && files[0] < name; files = files[1:] {
				if !yield(files[0], 0) {
					return
				}
			}
			if !yield(name, decodeID(b)) {
				return
			}
		}
		for _, name := range files {
			if !yield(name, 0) {
				return
			}
		}
	}
}

func fileNames(v vfs.View, id uint64) (names []string) {
	if id == rootID {
		return []string{readmeName}
	}
	names = controlNames()
	if isEarly(v) {
		names = slices.DeleteFunc(names, func(n string) bool { return !(spot{file: n}).isEarly() })
	}
	return names
}

func controlNames() (names []string) {
	for _, c := range controls {
		names = append(names, c.name)
	}
	return names
}
