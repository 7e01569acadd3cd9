package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/ffi"
	"github.com/pfs-project/pfs/prochost"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/wasmhost"
)

// compiledDir is where compiled code of plugins is kept, below the data
// directory. It may be removed at any time.
const compiledDir = "wasm"

// libraries runs third-party plugins on this node.
type libraries struct {
	wasm  *wasmhost.Host
	procs *prochost.Host
	ffi   *ffi.Host
	dir   string   // where plugins may be loaded from
	files []string // what else
	sent  bool     // programs that clients send are run, too
}

// openLibraries returns nil if the configuration wants none.
func openLibraries(c Config, files *client.Client, log *slog.Logger) (*libraries, error) {
	if !c.External.Enabled {
		return nil, nil
	}
	l := &libraries{sent: c.External.SentPrograms}
	for _, p := range append([]string{c.External.PluginDir}, c.External.PluginPaths...) {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, abs)
	}
	if l.files = l.files[1:]; c.External.PluginDir != "" {
		l.dir, _ = filepath.Abs(c.External.PluginDir) // it was abs above
	}
	var err error
	if l.ffi, err = ffi.New(c.External.PluginHost, log); err != nil {
		return nil, err
	}
	if l.wasm, err = wasmhost.New(filepath.Join(c.Server.DataDir, compiledDir), changes{files}, log); err != nil {
		return nil, err
	}
	l.procs = prochost.New(version, l.wasm.Run, log)
	return l, nil
}

// errOutside is the answer to a path that nobody has allowed.
var errOutside = vfs.Permission.With("the file is neither in external_plugins.plugin_dir nor in plugin_paths of this node: put it there, or upload it")

// Open reads a file in the plugin directory, or one that the configuration
// names. Nothing tells whether there is another.
func (l *libraries) Open(path string) ([]byte, error) {
	if !filepath.IsAbs(path) && l.dir != "" {
		path = filepath.Join(l.dir, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, errOutside
	}
	if slices.Contains(l.files, abs) {
		return readCode(filepath.Dir(abs), filepath.Base(abs))
	}
	rel, err := filepath.Rel(l.dir, abs)
	if l.dir == "" || err != nil || !filepath.IsLocal(rel) {
		return nil, errOutside
	}
	return readCode(l.dir, rel)
}

// readCode reads a file below dir; links do not lead out of it.
func readCode(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, vfs.NotFound.Withf("failed to detect plugin type: plugin file not found: %s", filepath.Join(dir, name))
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|openNoWait, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, vfs.NotFound.Withf("failed to detect plugin type: plugin file not found: %s", filepath.Join(dir, name))
	case err != nil:
		return nil, vfs.Permission.Withf("the plugin cannot be read: %v", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, vfs.Invalid.Withf("%s is no file", filepath.Join(dir, name))
	case st.Mode().Perm()&0o002 != 0:
		return nil, vfs.Permission.Withf("%s may be written by everybody: chmod o-w it first", filepath.Join(dir, name))
	}
	return io.ReadAll(io.LimitReader(f, wasmhost.MaxModule+1))
}

// kinds are the beginnings of files, as loaders tell them apart.
var kinds = []struct{ magic, kind string }{
	{"\x00asm", wasmhost.Kind}, {"\x7fELF", ffi.Kind}, {"MZ", ffi.Kind},
	{"\xfe\xed\xfa\xce", ffi.Kind}, {"\xfe\xed\xfa\xcf", ffi.Kind}, {"\xce\xfa\xed\xfe", ffi.Kind},
	{"\xcf\xfa\xed\xfe", ffi.Kind}, {"\xca\xfe\xba\xbe", ffi.Kind}, {"\xbe\xba\xfe\xca", ffi.Kind},
}

// Trusts returns nil for modules, which reach nothing of the machine. A program, and
// the process of a native library, is only as far from it as the machine allows.
func (l *libraries) Trusts(code []byte) error {
	if l.sent || !prochost.IsProgram(code) && kindOf(code) != ffi.Kind {
		return nil
	}
	return vfs.Permission.With("programs and native libraries are loaded from external_plugins.plugin_dir or plugin_paths of this node only: put it there, or set external_plugins.sent_programs")
}

// Inspect tells what the code of a plugin is.
func (l *libraries) Inspect(ctx context.Context, code []byte, limits vfs.Limits) (vfs.Library, error) {
	if prochost.IsProgram(code) {
		return l.procs.Inspect(ctx, code, limits)
	}
	switch kindOf(code) {
	case wasmhost.Kind:
		if wasmhost.IsProgram(code) {
			return l.procs.InspectModule(ctx, code, limits)
		}
		return l.wasm.Inspect(ctx, code, limits)
	case ffi.Kind:
		return l.ffi.Inspect(ctx, code, limits)
	}
	return vfs.Library{}, vfs.Invalid.With("failed to detect plugin type: unsupported plugin type: unknown")
}

// kindOf returns what the beginning of a file says, "" for nothing that is known.
func kindOf(code []byte) string {
	for _, k := range kinds {
		if bytes.HasPrefix(code, []byte(k.magic)) {
			return k.kind
		}
	}
	return ""
}

// Plugin returns a library as a kind of filesystem.
func (l *libraries) Plugin(lib vfs.Library) vfs.Plugin {
	if prochost.Runs(lib.Kind) {
		return l.procs.Plugin(lib, codeOf)
	}
	if lib.Kind == ffi.Kind {
		return l.ffi.Plugin(lib, codeOf)
	}
	return l.wasm.Plugin(lib, codeOf)
}

// codeOf reads the code of a library, and checks that it is that.
func codeOf(ctx context.Context, c vfs.Chunks, lib vfs.Library) ([]byte, error) {
	code := append([]byte(nil), lib.Data...)
	for _, ref := range lib.Refs {
		b := make([]byte, ref.Len)
		if err := c.ReadChunk(ctx, ref, b, 0); err != nil {
			return nil, err
		}
		code = append(code, b...)
	}
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != lib.Sum {
		return nil, vfs.Internal.Withf("the code of plugin %s is not what was loaded", lib.Name)
	}
	return code, nil
}

func (l *libraries) close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.wasm.Close(ctx)
}
