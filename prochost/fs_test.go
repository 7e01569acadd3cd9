package prochost

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// answers is a backend of which each path has its answer; nobody starts or ends it.
type answers struct {
	backend
	at map[vfs.Path]error
}

func (answers) Done() <-chan struct{} { return nil }
func (answers) Close()                {}

func (a answers) stat(_ context.Context, p vfs.Path, _ time.Time) (vfs.Info, error) {
	return vfs.Info{}, a.at[p]
}

func (a answers) do(_ context.Context, op vfs.Op, _ time.Time) (vfs.Result, error) {
	return vfs.Result{}, a.at[op.Path]
}

// The answer of a plugin that is wrong is kept back while others are served.
func TestKeptBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := answers{at: map[vfs.Path]error{"/wrong": vfs.Crashed.With("the plugin is wrong"), "/none": vfs.NotFound.With("none")}}
		f := &FS{write: make(chan struct{}, 1), reads: make(chan struct{}, 1), lib: vfs.Library{Verbs: vfs.Verbs(vfs.Write)},
			keep: supervise.New(func(context.Context) (backend, error) { return b, nil }, supervise.Plan{Calls: 1}, slog.New(slog.DiscardHandler))}
		defer f.Close()
		for name, run := range map[string]func(vfs.Path) error{
			"stat": func(p vfs.Path) error { _, err := f.Stat(t.Context(), nil, p); return err },
			"do":   func(p vfs.Path) error { _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: p}); return err },
		} {
			takes := func(p vfs.Path, want time.Duration) {
				began := time.Now()
				if err := run(p); time.Since(began) != want || !errors.Is(err, b.at[p]) {
					t.Errorf("%s of %s: %v after %v, expected after %v", name, p, err, time.Since(began), want)
				}
			}
			takes("/none", 0)
			kept := make(chan struct{})
			go func() {
				defer close(kept)
				takes("/wrong", supervise.Moment)
			}()
			synctest.Wait() // its answer is there
			takes("/f", 0)
			<-kept
		}
	})
}
