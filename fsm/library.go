package fsm

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// LibraryLevel is the feature level from which on third-party plugins are in the
// log, and nothing else is mounted of a type that is not compiled in.
const LibraryLevel = 15

// GrantsLevel is the feature level from which on modules can be granted to change
// the tree and to make HTTP requests, modules are run as programs, and a load can be
// of a generation of the C ABI, have an idle time and the network, and leave what is
// loaded as it is.
const GrantsLevel = 17

// LibraryFits returns nil if a library may be loaded in a cluster at a feature
// level. Unsupported says what members do not know yet.
func LibraryFits(lib vfs.Library, level uint64) error {
	switch {
	case level < LibraryLevel:
		return errEarly
	case lib.Grants.Changes() && level < GrantsLevel:
		return vfs.Unsupported.With("grants: write and http: operation not supported until every member runs a version that knows them")
	case (lib.Grants.Network || lib.Limits.Idle != 0 || lib.ABI != 0) && level < GrantsLevel:
		return vfs.Unsupported.With("grants: network, limits: idle and abi: operation not supported until every member runs a version that knows them")
	case lib.Grants.Processes && level < ProcessesLevel:
		return vfs.Unsupported.With("grants: processes: operation not supported until every member runs a version that knows it")
	case lib.Kind == "wasi" && level < GrantsLevel:
		return vfs.Unsupported.With("loading modules that are programs: operation not supported until every member runs a version that knows it")
	}
	return nil
}

// MaxLibrary bounds the description of a library, in bytes of JSON.
const MaxLibrary = 64 << 10

// LoadOp returns the Op that makes a library known, whose code is in data or
// refs, and replaces the one that has its name.
func LoadOp(lib vfs.Library, data []byte, refs []vfs.ChunkRef) vfs.Op {
	lib.Data, lib.Refs = nil, nil
	return vfs.Op{Verb: vfs.Enlist, Path: vfs.Root, Target: string(mustJSON(lib)), Data: data, Refs: refs}
}

// UnloadOp returns the Op that forgets the library with a name, or from a source.
func UnloadOp(name string) vfs.Op {
	return vfs.Op{Verb: vfs.Dismiss, Path: vfs.Root, Target: name}
}

// Loaded is what a LoadOp answers, as JSON in its Result.
type Loaded struct {
	Name     string `json:"plugin_name"`
	Original string `json:"original_name,omitempty"` // what it calls itself, if that was taken
	Renamed  bool   `json:"renamed"`
	Sum      string `json:"sha256"`
}

// Libraries yields all libraries in the state v, by name.
func Libraries(v vfs.View) iter.Seq[vfs.Library] {
	return func(yield func(vfs.Library) bool) {
		for _, b := range v.Scan(sysKey(rowLibrary), nil) {
			if !yield(decodeLibrary(b)) {
				return
			}
		}
	}
}

// LibraryOf returns the library with a name in the state v.
func LibraryOf(v vfs.View, name string) (vfs.Library, bool) {
	b, ok := v.Get(textKey(rowLibrary, name))
	if !ok {
		return vfs.Library{}, false
	}
	return decodeLibrary(b), true
}

func decodeLibrary(b []byte) (lib vfs.Library) {
	if json.Unmarshal(b, &lib) != nil || lib.Name == "" {
		broken("library: %.40q", b)
	}
	return Kept(lib)
}

// Kept returns lib with the grant to start processes if it was loaded, or is to be, at a
// level at which nobody is asked for that.
func Kept(lib vfs.Library) vfs.Library {
	if lib.Level < ProcessesLevel && lib.Kind != "wasm" && lib.Kind != "wasi" {
		lib.Grants.Processes = true
	}
	return lib
}

// same reports whether the load of a library leaves old as it is, which keeps what it was
// granted before that was asked for.
func same(lib, old vfs.Library) bool {
	if lib.Level = old.Level; old.Level < ProcessesLevel {
		lib.Grants.Processes = old.Grants.Processes
	}
	return string(mustJSON(lib)) == string(mustJSON(old))
}

// enlist folds the load of a library. The same code again, with the same grants
// and limits, changes nothing; other code of the same name takes its place, and
// its mounts start anew. With FlagExclusive, what is loaded stays as it is.
func (e *event) enlist(op vfs.Op) (vfs.Result, error) {
	var lib vfs.Library
	err := json.Unmarshal([]byte(op.Target), &lib)
	early := LibraryFits(lib, getNum(e.tx, rowLevel))
	switch {
	case early != nil:
		return vfs.Result{}, early
	case err != nil || len(op.Target) > MaxLibrary || !validLibrary(lib):
		return vfs.Result{}, vfs.Invalid.With("bad description of a plugin")
	case op.Size() != lib.Size:
		return vfs.Result{}, vfs.Invalid.With("the code of the plugin is not as long as described")
	}
	called := lib.Name
	for n := 1; e.compiledIn(lib.Name); n++ {
		lib.Name, lib.Original = fmt.Sprintf("%s-%d", called, n), called
	}
	lib.Data, lib.Refs, lib.Level = op.Data, op.Refs, 0
	if level := getNum(e.tx, rowLevel); level >= ProcessesLevel {
		lib.Level = level
	}
	done := vfs.Result{Data: mustJSON(Loaded{lib.Name, lib.Original, lib.Original != "", lib.Sum})}
	row := mustJSON(lib)
	if old, ok := LibraryOf(e.tx, lib.Name); ok {
		switch first := op.Flag&vfs.FlagExclusive != 0; {
		case same(lib, old), first && old.Sum == lib.Sum:
			return done, nil
		case first:
			return vfs.Result{}, vfs.Exists.Withf("plugin %s is loaded, with other code", lib.Name)
		case old.Place != lib.Place && getNum(e.tx, rowLevel) >= PlacementLevel:
			if err := e.mountedAt(lib.Name); err != nil {
				return vfs.Result{}, err // where its mounts live was settled when they were mounted
			}
		}
		for _, ref := range old.Refs {
			e.tx.Release(ref)
		}
	}
	for _, ref := range lib.Refs {
		e.tx.Retain(ref)
	}
	e.tx.Put(textKey(rowLibrary, lib.Name), row)
	e.remount(lib)
	return done, nil
}

var errEarly = vfs.Unsupported.With("loading plugins: operation not supported until every member runs a version that knows it")

// validLibrary reports whether a description may be kept.
func validLibrary(l vfs.Library) bool {
	sum, err := hex.DecodeString(l.Sum)
	return err == nil && len(sum) == 32 && ValidLibraryName(l.Name) && l.Original == "" && l.Kind != "" &&
		(l.Place == vfs.Pinned || l.Place == vfs.PerNode) && l.Size > 0
}

// ValidLibraryName reports whether a plugin may be called so.
func ValidLibraryName(name string) bool {
	return name != "" && len(name) <= 64 && name[0] != '.' && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}

// compiledIn reports whether a type is there without a library: on every member.
func (e *event) compiledIn(kind string) bool {
	p, ok := e.m.plugins[kind]
	return ok && p.Since <= getNum(e.tx, rowLevel)
}

// remount makes the mounts of a library new ones of it, so that every node
// starts them again.
func (e *event) remount(lib vfs.Library) {
	for _, m := range e.mountsOf(lib.Name) {
		if rec, ok := e.record(m.Path); ok {
			rec.Spec.Verbs = lib.Verbs
			e.renew(m.Path, rec)
		}
	}
}

// mountsOf returns the mounts of a type.
func (e *event) mountsOf(kind string) (of []vfs.Mounted) {
	for _, m := range e.table.Mounts() {
		if m.Type == kind {
			of = append(of, m)
		}
	}
	return of
}

// mountedAt refuses what must not be done to a library while it is mounted.
func (e *event) mountedAt(name string) error {
	var at []string
	for _, m := range e.mountsOf(name) {
		at = append(at, string(m.Path))
	}
	if len(at) == 0 {
		return nil
	}
	slices.Sort(at)
	return vfs.Conflict.Withf("plugin %s is mounted at %s: unmount it first", name, strings.Join(at, ", "))
}

// dismiss folds the unload of a library. One that is mounted stays.
func (e *event) dismiss(op vfs.Op) (vfs.Result, error) {
	lib, ok := LibraryOf(e.tx, op.Target)
	for l := range Libraries(e.tx) {
		if !ok && l.Source == op.Target {
			lib, ok = l, true
		}
	}
	if !ok {
		return vfs.Result{}, vfs.NotFound.Withf("plugin %.200q is not loaded (not found)", op.Target)
	}
	if err := e.mountedAt(lib.Name); err != nil {
		return vfs.Result{}, err
	}
	for _, ref := range lib.Refs {
		e.tx.Release(ref)
	}
	e.tx.Delete(textKey(rowLibrary, lib.Name))
	return vfs.Result{Data: mustJSON(Loaded{Name: lib.Name, Sum: lib.Sum})}, nil
}
