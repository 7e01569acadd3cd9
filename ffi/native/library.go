//go:build linux || darwin

package native

import (
	"bytes"
	"debug/elf"
	"runtime"
	"strings"

	"github.com/ebitengine/purego"

	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/vfs"
)

// symbols of the ABI that this package looks for. Only PluginNew must be there.
func symbols() []string {
	return []string{
		"PluginNew", "PluginFree", "PluginName", "PluginValidate", "PluginInitialize", "PluginShutdown", "PluginGetReadme",
		"FSRead", "FSWrite", "FSStat", "FSReadDir", "FSCreate", "FSRemove", "FSRemoveAll", "FSMkdir", "FSChmod", "FSRename",
		"PFSFree",
	}
}

// verbs are those that an export brings. Without FSChmod the mode of a file that
// can be written stays as it is, and chmod says nothing, as published hosts have
// it.
func verbs(has func(string) bool) (s vfs.VerbSet) {
	for _, e := range []struct {
		symbol string
		verbs  vfs.VerbSet
	}{
		{"FSCreate", vfs.Verbs(vfs.Create)}, {"FSMkdir", vfs.Verbs(vfs.Mkdir)},
		{"FSWrite", vfs.Verbs(vfs.Write, vfs.Truncate, vfs.Chmod)},
		{"FSRemove", vfs.Verbs(vfs.Remove)}, {"FSRemoveAll", vfs.Verbs(vfs.RemoveAll)},
		{"FSRename", vfs.Verbs(vfs.Rename)}, {"FSChmod", vfs.Verbs(vfs.Chmod)},
	} {
		if has(e.symbol) {
			s |= e.verbs
		}
	}
	return s
}

// library is one that is loaded.
type library struct {
	at map[string]uintptr
}

// Open loads the library and describes it or makes an instance. The texts of its
// errors are for whoever loads the plugin.
func Open(s ffi.Settings, code []byte) (d ffi.Description, g ffi.Guest, err error) {
	lib, err := load(code, s.Sum)
	if err != nil {
		return d, nil, err
	}
	i, err := lib.instance(s.ABI)
	if err != nil {
		return d, nil, err
	}
	d = ffi.Description{Name: lib.text("PluginName", i.self), Doc: lib.text("PluginGetReadme", i.self), Verbs: verbs(lib.has)}
	if s.Describe {
		return d, nil, nil
	}
	return d, i, i.initialize(s.Config)
}

// load loads the library whose bytes are code.
func load(code []byte, sum string) (*library, error) {
	if err := machine(code); err != nil {
		return nil, err
	}
	path, drop, err := keep(code, sum)
	if err != nil {
		return nil, err
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		drop()
		return nil, vfs.Invalid.Withf("the library does not load: %s", strings.ReplaceAll(err.Error(), path, "it"))
	}
	lib := &library{at: map[string]uintptr{}}
	for _, name := range symbols() {
		if at, err := purego.Dlsym(handle, name); err == nil && at != 0 {
			lib.at[name] = at
		}
	}
	if !lib.has("PluginNew") {
		return nil, vfs.Invalid.With("plugin missing required PluginNew function")
	}
	return lib, nil
}

// instance calls PluginNew.
func (l *library) instance(abi int) (*instance, error) {
	i := &instance{lib: l, abi: abi}
	if i.self = l.call("PluginNew"); i.self == 0 {
		return nil, vfs.Invalid.With("PluginNew returned null pointer")
	}
	return i, nil
}

func (l *library) has(name string) bool { return l.at[name] != 0 }

// call calls an export with values that are no Go memory.
func (l *library) call(name string, args ...uintptr) uintptr {
	if !l.has(name) {
		return 0
	}
	r, _, _ := purego.SyscallN(l.at[name], args...)
	return r
}

// text calls an export that returns a text of the plugin's own.
func (l *library) text(name string, self uintptr) string {
	s, _ := text(l.call(name, self), maxDoc) // what is too long is not shown
	return s
}

// machine refuses a library for other processors, of which the linker says little.
func machine(code []byte) error {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil // the linker knows what it is
	}
	if f.Type != elf.ET_DYN {
		return vfs.Invalid.Withf("the file is no shared library (%v)", f.Type)
	}
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "riscv64": elf.EM_RISCV}[runtime.GOARCH]
	if want != 0 && f.Machine != want {
		return vfs.Invalid.Withf("the library is for %v, this node is %s", f.Machine, runtime.GOARCH)
	}
	return nil
}
