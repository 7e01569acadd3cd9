package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
	for pause := loadPause; len(paths) > 0; pause = min(2*pause, loadPauseMax) {
		var later []string
		for _, p := range paths {
			if again := offer(ctx, files, log, p); again {
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
func offer(ctx context.Context, files *client.Client, log *slog.Logger, path string) (again bool) {
	p, err := files.LoadPlugin(ctx, path, client.PluginTerms{}, client.IfAbsent())
	switch vfs.KindOf(err) {
	case 0:
		log.Info("plugin is loaded", "plugin", p.Name, "path", path)
	case vfs.Exists:
		log.Warn("another plugin of this name is loaded and stays", "path", path, "error", err)
	case vfs.Invalid, vfs.Permission, vfs.NotFound, vfs.TooLarge:
		log.Warn("plugin is not loaded", "path", path, "error", err)
	default:
		return !errors.Is(err, context.Canceled)
	}
	return false
}
