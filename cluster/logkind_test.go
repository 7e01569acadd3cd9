package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/vfs"
)

// A directory keeps the kind of log that it was made with, a new one gets pebble, and
// a setting that says otherwise is refused before anything is written.
func TestLogKindStays(t *testing.T) {
	for _, was := range []string{"bolt", "pebble", ""} {
		t.Run("made with "+was, func(t *testing.T) {
			g := newGang(t, 1, func(_ int, c *Config) { c.LogStore = was })
			g.write(0, "/m/a", "before")
			g.stop(0)
			other := "bolt"
			if was == "bolt" {
				other = "pebble"
			}
			g.conf[0].LogStore = other
			n, err := Start(context.Background(), g.conf[0])
			if err == nil {
				_ = n.Stop(context.Background())
			}
			if !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "leave log_store out") {
				t.Errorf("as %s: %v", other, err)
			}
			g.conf[0].LogStore = ""
			beside := filepath.Join(g.conf[0].Dir, raftDir)
			if s, err := map[string]func() (raftlog.Store, error){
				"bolt":   func() (raftlog.Store, error) { return raftlog.OpenBolt(beside) },
				"pebble": func() (raftlog.Store, error) { return raftlog.OpenPebble(beside, nil) },
			}[other](); err != nil || s.Close() != nil {
				t.Fatal(err)
			}
			if n, err := Start(context.Background(), g.conf[0]); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "which one") {
				t.Errorf("with both: %v", err)
				if err == nil {
					_ = n.Stop(context.Background())
				}
			}
			g.conf[0].LogStore = was
			if was == "" {
				g.conf[0].LogStore = "pebble"
			}
			g.start(0)
			if got, err := g.read(0, "/m/a", vfs.Level{}); err != nil || string(got) != "before" {
				t.Errorf("as it was: %q, %v", got, err)
			}
		})
	}
}
