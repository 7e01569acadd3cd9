//go:build unix

package store

import (
	"os"
	"path/filepath"
	"testing"
)

// What a node keeps is for its owner: there are keys in it.
func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	if err := MakeDir(Disk(), dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f")
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(Disk(), file, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o700, file: 0o600} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", name, st.Mode(), err, want)
		}
	}
}
