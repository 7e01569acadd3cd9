package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// TestVerifyTables flips a bit in every table of a database in turn, also in
// one that is open.
func TestVerifyTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := vfs.NewOverlay(s.View())
	for i := range 3000 {
		o.Put(fmt.Appendf(nil, "key %d", i), []byte(strings.Repeat(fmt.Sprint(i, " "), 300)))
	}
	if err := s.Commit(o); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The log becomes tables. Pebble may look at one of them while it is damaged.
	if s, err = Open(dir, Options{Fatal: func(error) {}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tables := 0
	verify := func() error {
		return VerifyTables(t.Context(), Disk(), dir, func(n int) bool { tables = n; return true })
	}
	if err := verify(); err != nil || tables == 0 {
		t.Fatalf("%d tables: %v", tables, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(b) / 3, len(b) / 2, len(b) * 9 / 10} {
			b[at] ^= 4
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := verify(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(file)) {
				t.Errorf("byte %d of %d in %s: %v", at, len(b), filepath.Base(file), err)
			}
			b[at] ^= 4
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := verify(); err != nil {
		t.Errorf("all is well again: %v", err)
	}
	calls := 0
	if err := VerifyTables(t.Context(), Disk(), dir, func(int) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("ended early: %v after %d", err, calls)
	}
}
