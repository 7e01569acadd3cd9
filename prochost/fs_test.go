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

// answers is a backend whose answers are all the same; nobody starts or ends it.
type answers struct {
	backend
	err error
}

func (answers) Done() <-chan struct{} { return nil }
func (answers) Close()                {}

func (a *answers) stat(context.Context, vfs.Path, time.Time) (vfs.Info, error) {
	return vfs.Info{}, a.err
}

func (a *answers) do(context.Context, vfs.Op, time.Time) (vfs.Result, error) {
	return vfs.Result{}, a.err
}

// The answer of a plugin that is wrong is kept back while others are served.
func TestKeptBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &answers{}
		f := &FS{write: make(chan struct{}, 1), reads: make(chan struct{}, 1), lib: vfs.Library{Verbs: vfs.Verbs(vfs.Write)},
			keep: supervise.New(func(context.Context) (backend, error) { return b, nil }, supervise.Plan{Calls: 1}, slog.New(slog.DiscardHandler))}
		defer f.Close()
		wrong := vfs.Crashed.With("the plugin is wrong")
		for name, run := range map[string]func(context.Context) error{
			"stat": func(ctx context.Context) error { _, err := f.Stat(ctx, nil, "/f"); return err },
			"do":   func(ctx context.Context) error { _, err := f.Do(ctx, vfs.Op{Verb: vfs.Write, Path: "/f"}); return err },
		} {
			takes := func(answer error, want time.Duration) {
				began := time.Now()
				if err := run(t.Context()); time.Since(began) != want || !errors.Is(err, answer) {
					t.Errorf("%s: %v after %v, expected %v after %v", name, err, time.Since(began), answer, want)
				}
			}
			b.err = vfs.NotFound.With("none")
			takes(b.err, 0)
			b.err = wrong
			kept := make(chan struct{})
			go func() {
				defer close(kept)
				takes(wrong, supervise.Moment)
			}()
			synctest.Wait() // its answer is there
			b.err = nil
			takes(nil, 0)
			<-kept
		}
	})
}
