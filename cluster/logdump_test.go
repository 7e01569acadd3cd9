package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/raftlog"
)

// TestReadLog reads the log of a stopped node, whole and from the middle, and
// names an entry that is damaged.
func TestReadLog(t *testing.T) {
	for _, store := range []string{"bolt", "pebble"} {
		t.Run(store, func(t *testing.T) {
			g := newGang(t, 1, func(_ int, c *Config) { c.LogStore = store })
			for i := range 5 {
				g.write(0, "/m/f", fmt.Sprintf("value-%d-%s", i, strings.Repeat("x", 100)))
			}
			dir := g.conf[0].Dir
			if store == "bolt" { // pebble fails at once
				if err := ReadLog(dir, 0, nil); err == nil || !strings.Contains(err.Error(), "in use") {
					t.Errorf("beside a running node: %v", err)
				}
			}
			g.stopAll()
			all := readLog(t, dir, 0)
			written := 0
			for i, e := range all {
				if e.Err != nil || e.Index != uint64(i+1) {
					t.Fatalf("entry %d: %+v", i+1, e)
				}
				for _, ev := range e.Events {
					if op := ev.Ops[0]; op.Path == "/m/f" {
						if !strings.HasPrefix(string(op.Data), fmt.Sprintf("value-%d-", written)) {
							t.Errorf("event %d holds %q", written, op.Data)
						}
						written++
					}
				}
			}
			if written != 5 || all[0].Type != "configuration" || len(all[0].Servers) != 1 {
				t.Fatalf("%d writes; the log begins with %+v", written, all[0])
			}
			if part := readLog(t, dir, 4); len(part) != len(all)-3 || part[0].Index != 4 {
				t.Errorf("from 4: %d of %d entries", len(part), len(all))
			}
			damage(t, filepath.Join(dir, raftDir), "value-3-")
			bad := 0
			err := ReadLog(dir, 0, func(e LogEntry) error {
				switch {
				case errors.Is(e.Err, raftlog.ErrCorrupt):
					bad++
				case e.Err != nil, strings.Contains(fmt.Sprint(e.Events), "value-3"):
					t.Errorf("damaged: %+v", e)
				}
				return nil
			})
			if store == "bolt" && (err != nil || bad != 1) {
				t.Errorf("damaged: %v, %d entries", err, bad)
			}
		})
	}
}

func readLog(t *testing.T, dir string, from uint64) (all []LogEntry) {
	t.Helper()
	err := ReadLog(dir, from, func(e LogEntry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// damage changes a byte behind each place where a text stands in a file of dir.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := strings.ReplaceAll(string(b), text+"x", text+"y")
		if s == string(b) {
			continue
		}
		found = true
		if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("no file in %s holds %q", dir, text)
	}
}

// TestReadNoLog reads where there is none.
func TestReadNoLog(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if err := ReadLog(dir, 0, nil); err == nil {
			t.Errorf("%s: no error", dir)
		}
	}
}
