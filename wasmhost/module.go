package wasmhost

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/pfs-project/pfs/vfs"
)

// maxTable is how many entries the tables of a module may have in all. They are
// memory of the host.
const maxTable = 1 << 20

var errModule = errors.New("the module is damaged")

// tamed returns the module with bounds on its tables, which the runtime would
// let grow without an end, and refuses what would take more memory to load than it
// has bytes. What is wrong in other ways is left to the compiler.
func tamed(module []byte) ([]byte, error) {
	if len(module) > MaxModule {
		return nil, vfs.TooLarge.Withf("a module has at most %d bytes", MaxModule)
	}
	if len(module) < 8 || string(module[:4]) != "\x00asm" {
		return nil, vfs.Invalid.With("no WASM module")
	}
	out := slices.Clone(module[:8])
	for rest := module[8:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || n > 5 || size > uint64(len(rest)-1-n) {
			return nil, vfs.Invalid.With(errModule.Error())
		}
		body := rest[1+n : 1+n+int(size)]
		rest = rest[1+n+int(size):]
		var err error
		switch id {
		case customSection:
			if body = names(body); body != nil {
				out = section(out, id, body)
			}
			continue
		case tableSection:
			body, err = tables(body)
		default:
			err = parts(id, body)
		}
		if err != nil {
			return nil, err
		}
		out = section(out, id, body)
	}
	return out, nil
}

// tables rewrites the section of the tables.
func tables(b []byte) ([]byte, error) {
	r := &reader{b: b}
	count := r.num()
	out := binary.AppendUvarint(nil, count)
	total := uint64(0)
	for range count {
		kind, flag := r.byte(), r.byte()
		least, most := r.num(), uint64(maxTable)
		if flag == 1 {
			most = min(r.num(), maxTable)
		}
		if r.bad || flag > 1 || !reference(kind) {
			return nil, vfs.Invalid.With(errModule.Error())
		}
		if total += least; least > most || total > maxTable || count > 16 {
			return nil, vfs.Invalid.Withf("the tables of a module have at most %d entries", maxTable)
		}
		out = append(out, kind, 1)
		out = binary.AppendUvarint(binary.AppendUvarint(out, least), most)
	}
	if r.bad || len(r.b) > 0 {
		return nil, vfs.Invalid.With(errModule.Error())
	}
	return out, nil
}

// reader reads numbers; bad is set once they end too early, and many beside it once
// there are too many.
type reader struct {
	b         []byte
	bad, many bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) num() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 5 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// abi is what a module exports of the ABI.
type abi struct {
	has      map[string]bool
	oldWrite bool // fs_write has three parameters: it replaces the file
	freeSize bool // free wants the size, too
	buffers  bool // there are shared buffers
}

// signatures are the parameters and the result of every function of the ABI: i
// is a number of 32 bits, I one of 64.
var signatures = map[string][]string{
	"malloc": {"i:i"}, "free": {"i:", "ii:"},
	"plugin_new": {":i", ":"}, "plugin_name": {":i"}, "plugin_get_readme": {":i"}, "plugin_get_config_params": {":i"},
	"plugin_validate": {"i:i"}, "plugin_initialize": {"i:i"}, "plugin_shutdown": {":i"},
	"fs_read": {"iII:I"}, "fs_write": {"iii:I", "iiiIi:I"}, "fs_stat": {"i:I"}, "fs_readdir": {"i:I"},
	"fs_create": {"i:i"}, "fs_remove": {"i:i"}, "fs_remove_all": {"i:i"},
	"fs_mkdir": {"ii:i"}, "fs_chmod": {"ii:i"}, "fs_rename": {"ii:i"},
	"get_input_buffer_ptr": {":i"}, "get_output_buffer_ptr": {":i"}, "get_shared_buffer_size": {":i"},
	"_initialize": {":"}, "_start": {":"},
}

// readABI finds what the module exports, and refuses what the ABI has otherwise.
func readABI(m wazero.CompiledModule) (*abi, error) {
	a := &abi{has: map[string]bool{}}
	found := m.ExportedFunctions()
	for _, name := range slices.Sorted(maps.Keys(signatures)) {
		f, ok := found[name]
		if !ok {
			continue
		}
		got := signature(f)
		if !slices.Contains(signatures[name], got) {
			return nil, vfs.Invalid.Withf("the module's %s has the parameters and result %q; the ABI has %s",
				name, got, strings.Join(signatures[name], " or "))
		}
		a.has[name] = true
		a.oldWrite = a.oldWrite || name == "fs_write" && got == "iii:I"
		a.freeSize = a.freeSize || name == "free" && got == "ii:"
	}
	if len(m.ExportedMemories()) == 0 || m.ExportedMemories()["memory"] == nil {
		return nil, vfs.Invalid.With("the module exports no memory")
	}
	for _, name := range []string{"fs_stat", "fs_readdir", "fs_read"} {
		if !a.has[name] {
			return nil, vfs.Invalid.Withf("the module is no plugin: it does not export %s", name)
		}
	}
	a.buffers = a.has["get_input_buffer_ptr"] && a.has["get_output_buffer_ptr"] && a.has["get_shared_buffer_size"]
	if !a.has["malloc"] && !a.buffers {
		return nil, vfs.Invalid.With("the module exports neither malloc nor shared buffers: nothing can be passed to it")
	}
	return a, nil
}

func signature(f api.FunctionDefinition) string {
	letters := func(types []api.ValueType) string {
		var b strings.Builder
		for _, t := range types {
			switch t {
			case api.ValueTypeI32:
				b.WriteByte('i')
			case api.ValueTypeI64:
				b.WriteByte('I')
			default:
				b.WriteByte('?')
			}
		}
		return b.String()
	}
	return letters(f.ParamTypes()) + ":" + letters(f.ResultTypes())
}

// verbs returns what a mount of the module takes.
func (a *abi) verbs() vfs.VerbSet {
	var s vfs.VerbSet
	for name, verbs := range map[string]vfs.VerbSet{
		"fs_create": vfs.Verbs(vfs.Create), "fs_mkdir": vfs.Verbs(vfs.Mkdir),
		"fs_write":  vfs.Verbs(vfs.Write, vfs.Truncate, vfs.Chmod), // the mode of a module without fs_chmod stays
		"fs_remove": vfs.Verbs(vfs.Remove, vfs.RemoveAll), "fs_remove_all": vfs.Verbs(vfs.RemoveAll),
		"fs_rename": vfs.Verbs(vfs.Rename), "fs_chmod": vfs.Verbs(vfs.Chmod),
	} { // a union has no order
		if a.has[name] {
			s |= verbs
		}
	}
	return s
}
