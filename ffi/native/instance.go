//go:build linux || darwin

package native

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/vfs"
)

// maxEntries is how many files a directory may have.
const maxEntries = 500_000

// The generations of FSWrite, which have one name: the first takes no offset and
// returns a text, the second returns how much was written.
const (
	unknown = 0
	first   = 1
	second  = 2
)

// instance is what PluginNew has made.
type instance struct {
	lib    *library
	self   uintptr
	abi    int         // as it was asked for
	counts atomic.Bool // an answer has shown that it is of the second
}

var _ ffi.Guest = (*instance)(nil)

// initialize gives the instance its settings.
func (i *instance) initialize(config string) error {
	for _, name := range []string{"PluginValidate", "PluginInitialize"} {
		if err := i.check(name, config); err != nil {
			return err
		}
	}
	return nil
}

// check calls an export that takes the settings.
func (i *instance) check(name, config string) error {
	var a args
	defer a.end()
	s, err := text(i.lib.call(name, i.self, a.str(config)), maxText)
	switch {
	case err != nil:
		return err
	case s == "":
		return nil
	}
	if err := vfs.Said(s); vfs.KindOf(err) != vfs.Internal {
		return err
	}
	return vfs.Invalid.With(s) // it is the settings that it speaks of
}

// Close ends the instance.
func (i *instance) Close() error {
	if !i.lib.has("PluginShutdown") {
		return nil // published hosts free nothing then
	}
	s, err := text(i.lib.call("PluginShutdown", i.self), maxText)
	i.lib.call("PluginFree", i.self)
	if err == nil && s != "" {
		err = vfs.Said(s)
	}
	return err
}

// free gives back what an export has returned, to a library that wants it.
func (i *instance) free(at uintptr) {
	if at != 0 {
		i.lib.call("PFSFree", i.self, at)
	}
}

// needs refuses what a library has no export for.
func (i *instance) needs(name string) error {
	if !i.lib.has(name) {
		return vfs.Unsupported.With(name + " not implemented")
	}
	return nil
}

// Stat describes the file at p. The ABI has no word for why there is no answer.
func (i *instance) Stat(p vfs.Path) (out vfs.Info, err error) {
	if err := i.needs("FSStat"); err != nil {
		if p.IsRoot() {
			return out, vfs.NotFound
		}
		return out, err
	}
	var a args
	defer a.end()
	at := i.lib.call("FSStat", i.self, a.str(string(p)))
	if at == 0 {
		return out, vfs.NotFound
	}
	defer i.free(at)
	return info((*fileInfo)(pointer(&at)))
}

// info copies what stands in C memory.
func info(c *fileInfo) (i vfs.Info, err error) {
	var texts [4]string
	for n, at := range []uintptr{c.name, c.metaName, c.metaType, c.metaContent} {
		if texts[n], err = text(at, maxText); err != nil {
			return i, err
		}
	}
	i = vfs.Info{Name: texts[0], Size: c.size, Mode: vfs.Mode(c.mode) & 0o777, Meta: vfs.Meta{Name: texts[1], Type: texts[2]}}
	if c.modTime != 0 {
		i.ModTime = time.Unix(c.modTime, 0).UTC()
	}
	if c.isDir != 0 {
		i.Mode |= vfs.ModeDir
	}
	var content map[string]any
	if texts[3] != "" && json.Unmarshal([]byte(texts[3]), &content) == nil && len(content) > 0 {
		i.Meta.Content = make(map[string]string, len(content))
		for k, v := range content { // a map has no order either
			i.Meta.Content[k] = fmt.Sprint(v)
		}
	}
	return i, nil
}

// List returns what is in the directory at p.
func (i *instance) List(p vfs.Path) (out []vfs.Info, err error) {
	if err := i.needs("FSReadDir"); err != nil {
		return nil, err
	}
	var a args
	defer a.end()
	n := new(count)
	at := i.lib.call("FSReadDir", i.self, a.str(string(p)), a.count(n))
	if at != 0 {
		defer i.free(at)
	}
	switch {
	case n[0] < 0:
		return nil, vfs.Internal.With("readdir failed")
	case n[0] == 0:
		return nil, nil
	case n[0] > maxEntries:
		return nil, vfs.Crashed.Withf("the plugin is wrong: %d entries in a directory", n[0])
	case at == 0:
		return nil, vfs.Crashed.Withf("the plugin is wrong: %d entries, and none of them", n[0])
	}
	items := *(*uintptr)(pointer(&at))
	if items == 0 {
		return nil, vfs.Crashed.Withf("the plugin is wrong: %d entries, and none of them", n[0])
	}
	for k := range uintptr(n[0]) {
		one, err := info((*fileInfo)(unsafe.Add(pointer(&items), k*infoSize)))
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Read reads from the file at p.
func (i *instance) Read(p vfs.Path, off, size int64, take func([]byte)) error {
	if err := i.needs("FSRead"); err != nil {
		return err
	}
	var a args
	defer a.end()
	n := new(count)
	at := i.lib.call("FSRead", i.self, a.str(string(p)), uintptr(off), uintptr(size), a.count(n))
	if at != 0 {
		defer i.free(at)
	}
	if n[0] < 0 {
		return i.failure(at, "read failed")
	}
	if n[0] > maxRead {
		return vfs.Crashed.Withf("the plugin is wrong: it reads %d bytes where %d were asked for", n[0], size)
	}
	take(bytesAt(at, int(n[0])))
	return nil
}

// failure is the error whose text is at an address.
func (i *instance) failure(at uintptr, without string) error {
	s, err := text(at, maxText)
	switch {
	case err != nil:
		return err
	case s == "":
		return vfs.Internal.With(without)
	}
	return vfs.Said(s)
}

// Change makes a change without data.
func (i *instance) Change(op vfs.Op) error {
	name := map[vfs.Verb]string{
		vfs.Create: "FSCreate", vfs.Mkdir: "FSMkdir", vfs.Chmod: "FSChmod",
		vfs.Remove: "FSRemove", vfs.RemoveAll: "FSRemoveAll", vfs.Rename: "FSRename",
	}[op.Verb]
	if op.Verb == vfs.Chmod && !i.lib.has(name) {
		return nil // its modes stay as they are
	}
	if err := i.needs(name); err != nil {
		return err
	}
	var a args
	defer a.end()
	in := []uintptr{i.self, a.str(string(op.Path))}
	switch op.Verb {
	case vfs.Mkdir, vfs.Chmod:
		in = append(in, uintptr(op.Mode.Perm()))
	case vfs.Rename:
		in = append(in, a.str(string(op.To)))
	}
	return i.said(i.lib.call(name, in...))
}

// said reads an answer that is an error unless it is NULL or "".
func (i *instance) said(at uintptr) error {
	if at == 0 {
		return nil
	}
	defer i.free(at)
	s, err := text(at, maxText)
	if err == nil && s != "" {
		err = vfs.Said(s)
	}
	return err
}
