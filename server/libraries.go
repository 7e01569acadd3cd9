package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/hosts"
	"github.com/pfs-project/pfs/vfs"
)

// compiledDir is where compiled code of plugins is kept, below the data
// directory. It may be removed at any time.
const compiledDir = "wasm"

// libraries runs third-party plugins on this node.
type libraries struct {
	*hosts.Hosts
	fetch *fetcher
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
	within, err := c.External.fetchTime()
	if err != nil {
		return nil, err
	}
	if l.fetch, err = newFetcher(c.External.AllowHosts, within); err != nil {
		return nil, err
	}
	plan, err := c.External.breaker()
	if err != nil {
		return nil, err
	}
	set := hosts.Config{
		Compiled: filepath.Join(c.Server.DataDir, compiledDir), PluginHost: c.External.PluginHost, Version: version,
		Change: changes{files}, Plan: plan, Log: log,
	}
	if c.External.Isolation == hosts.IsolationNone {
		set.InProcess = InProcess()
		log.Warn("native plugins run in the server: one that crashes ends this node", "isolation", hosts.IsolationNone)
	}
	if l.Hosts, err = hosts.New(set); err != nil {
		return nil, err
	}
	if n := l.Processors(); n > runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
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
	return io.ReadAll(io.LimitReader(f, hosts.MaxCode+1))
}

// Trusts returns nil for modules, which reach nothing of the machine. A program, and
// the process of a native library, is only as far from it as the machine allows.
func (l *libraries) Trusts(code []byte) error {
	if form := hosts.FormOf(code); l.sent || form != hosts.Program && form != hosts.Library {
		return nil
	}
	return vfs.Permission.With("programs and native libraries are loaded from external_plugins.plugin_dir or plugin_paths of this node only: put it there, or set external_plugins.sent_programs")
}

func (l *libraries) close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.Close(ctx)
}
