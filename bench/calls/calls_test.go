package calls

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/plugins/localfs"
	"github.com/pfs-project/pfs/vfs"
)

// directory is a Device over a directory.
func directory(t *testing.T) (vfs.Device, string) {
	t.Helper()
	dir := t.TempDir()
	fs, err := localfs.Plugin().New(vfs.Env{Node: "n1", Log: slog.New(slog.DiscardHandler)}, vfs.Config{"local_dir": dir})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := fs.(vfs.Starter); ok {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return fs.(vfs.Device), dir
}

func measure(t *testing.T, d vfs.Device, verbs vfs.VerbSet, size int64) *Report {
	t.Helper()
	told := 0
	r, err := Run(t.Context(), Config{Device: d, Verbs: verbs, For: 20 * time.Millisecond, Size: size, Tell: func(string) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	if told < len(r.Costs)+len(r.Rates)+1 {
		t.Errorf("it told %d times what is under way", told)
	}
	for _, c := range r.Costs {
		if c.Calls < rounds || c.P50 <= 0 || c.P99 < c.P50 || c.BuiltinP50 <= 0 || c.BuiltinP99 < c.BuiltinP50 || c.Added != c.P50-c.BuiltinP50 {
			t.Errorf("%+v", c)
		}
	}
	if len(r.Floors) != 2 || r.Floors[0].P50 <= 0 || r.Floors[1].P99 < r.Floors[1].P50 {
		t.Errorf("%+v", r.Floors)
	}
	for _, w := range r.Rates {
		if w.MBs <= 0 || w.Builtin <= 0 {
			t.Errorf("%+v", w)
		}
	}
	return r
}

func TestRun(t *testing.T) {
	d, dir := directory(t)
	r := measure(t, d, vfs.Changes(), 3<<20)
	if len(r.Costs) != 4 || len(r.Rates) != 2 || len(r.Notes) != 0 || r.Rates[0].Bytes != 3<<20 {
		t.Fatalf("%+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// small3M takes files of at most 3 MiB, whole files of at most 1 MiB.
type small3M struct{ vfs.Device }

func (s small3M) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	if op.Off+op.Size() > 3<<20 {
		return vfs.Result{}, vfs.NoSpace
	}
	return s.Device.Do(ctx, op)
}

// garbled gives back other bytes than were written.
type garbled struct{ vfs.Device }

func (g garbled) ReadAt(ctx context.Context, v vfs.View, p vfs.Path, b []byte, off int64) (int, error) {
	n, err := g.Device.ReadAt(ctx, v, p, b, off)
	if n > 4<<10 {
		b[0]++
	}
	return n, err
}

// broken reads nothing.
type broken struct{ vfs.Device }

func (broken) ReadAt(context.Context, vfs.View, vfs.Path, []byte, int64) (int, error) {
	return 0, vfs.Crashed.With("out of luck")
}

// What a plugin cannot take is measured as far as it goes, and noted.
func TestLimits(t *testing.T) {
	d, _ := directory(t)
	r := measure(t, small3M{d}, vfs.Changes(), 8<<20)
	if len(r.Rates) != 2 || r.Rates[0].Bytes != 8<<20 || r.Rates[0].What != "write 4 × 2 MiB" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "8 MiB is too much") {
		t.Errorf("%+v", r)
	}
	d, dir := directory(t)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = measure(t, d, 0, 8<<20)
	if len(r.Costs) != 3 || r.Costs[2].Call != "read 10 bytes" || len(r.Rates) != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "takes no writes") {
		t.Errorf("%+v", r)
	}
	r = measure(t, broken{d}, 0, 0)
	if len(r.Costs) != 1 || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "no file can be read") || !strings.Contains(r.Notes[0], "out of luck") {
		t.Errorf("nothing can be read: %+v", r)
	}
	r = measure(t, d, vfs.Verbs(vfs.Create, vfs.Write), 0)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "/pfs-bench stays") {
		t.Errorf("nothing can be removed: %+v", r)
	}
	d, _ = directory(t)
	r = measure(t, d, 0, 0)
	if len(r.Costs) != 1 || len(r.Notes) != 2 {
		t.Errorf("an empty one: %+v", r)
	}
	d, _ = directory(t)
	_, err := Run(t.Context(), Config{Device: garbled{d}, Verbs: vfs.Changes(), For: time.Millisecond, Size: 2 << 20, Tell: func(string) {}})
	if err == nil || !strings.Contains(err.Error(), "not what was written") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Device: d, Verbs: vfs.Changes(), For: time.Hour, Tell: func(string) {}}); err == nil {
		t.Error("it goes on when nobody waits any more")
	}
}
