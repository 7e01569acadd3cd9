package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/hosts"
	"github.com/pfs-project/pfs/vfs"
)

// Pauses between two tries to load a plugin.
const (
	loadPause    = 500 * time.Millisecond
	loadPauseMax = time.Minute
)

// autoLoad has the cluster load the plugins that are in the plugin directory and
// the plugin paths of this node. What is loaded under one of their names stays.
func (l *libraries) autoLoad(ctx context.Context, files *client.Client, log *slog.Logger) {
	paths, err := l.found()
	if err != nil {
		log.Warn("plugin directory is not read", "path", l.dir, "error", err)
	}
	for try, pause := 1, loadPause; len(paths) > 0; try, pause = try+1, min(2*pause, loadPauseMax) {
		var later []string
		for _, p := range paths {
			if again := offer(ctx, files, log, p, try); again {
				later = append(later, p)
			}
		}
		paths = later
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// found returns the files that are plugins by their first bytes.
func (l *libraries) found() (paths []string, err error) {
	var entries []os.DirEntry
	if l.dir != "" {
		entries, err = os.ReadDir(l.dir)
	}
	var all []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, filepath.Join(l.dir, e.Name()))
		}
	}
	for _, p := range append(all, l.files...) {
		code, err := l.Open(p)
		if err != nil || hosts.FormOf(code) != hosts.Unknown { // a load says why it is none
			paths = append(paths, p)
		}
	}
	return paths, err
}

// offer has a plugin loaded and reports whether it is to be tried again.
func offer(ctx context.Context, files *client.Client, log *slog.Logger, path string, try int) (again bool) {
	p, err := files.LoadPlugin(ctx, path, client.PluginTerms{}, client.IfAbsent())
	switch kind := vfs.KindOf(err); {
	case err == nil:
		log.Info("plugin is loaded", "plugin", p.Name, "path", path)
	case ctx.Err() != nil:
	case kind == vfs.Exists:
		log.Warn("another plugin of this name is loaded and stays", "path", path, "error", err)
	case slices.Contains(lasting, kind), slices.Contains(theirs, kind) && try >= loadTries:
		log.Warn("plugin is not loaded", "path", path, "error", err)
	default:
		if try == loadTries {
			log.Warn("plugin is not loaded yet", "path", path, "error", err)
		}
		return true
	}
	return false
}

// loadTries is how often a plugin is tried until the log says that it waits, or
// until it is given up for what it does itself.
const loadTries = 5

// Kinds of errors that will not go by themselves, and those that a plugin brings
// about that hangs or crashes.
var (
	lasting = []vfs.Kind{vfs.Invalid, vfs.Permission, vfs.NotFound, vfs.TooLarge, vfs.Conflict}
	theirs  = []vfs.Kind{vfs.Crashed, vfs.Timeout}
)
