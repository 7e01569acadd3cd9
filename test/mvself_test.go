package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// What is moved onto itself by another name, of this machine or of another mount, is
// there afterwards.
func TestMovingOntoItself(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 1})
	dir := t.TempDir()
	files := map[string]string{"f": "f", "big": strings.Repeat("b", 1<<20), "t/x": "x", "t/sub/y": "y"}
	if err := os.MkdirAll(filepath.Join(dir, "t/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, empty := range []string{"e/f", "one"} {
		if err := os.MkdirAll(filepath.Join(dir, empty), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.Run("", "mount", "localfs", "/ld", "local_dir="+dir)
	c.Run("", "mount", "localfs", "/again", "local_dir="+dir)
	for _, args := range [][2]string{{"local:f", "pfs:/ld/f"}, {"pfs:/ld/f", "local:f"}, {"local:big", "pfs:/ld"}, {"pfs:/ld/big", "local:."},
		{"/ld/f", "/again/f"}, {"/ld/big", "/again"}, {"local:t", "pfs:/ld"}, {"pfs:/ld/t", "local:."},
		{"local:e", "pfs:/ld"}, {"pfs:/ld/e", "local:."}, {"local:one", "pfs:/ld"}, {"/ld/one", "/again"}} {
		cmd := exec.Command(filepath.Join(c.Bin, "pfs"), "mv", args[0], args[1])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PFS_URL="+c.Nodes[0].URL)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "the destination is the same by another name") {
			t.Errorf("mv %s: %v %s", args, err, out)
		}
		for name, want := range files {
			if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want || err != nil {
				t.Fatalf("mv %s: %s holds %d bytes, %v", args, name, len(b), err)
			}
		}
		for name, n := range map[string]int{"e": 1, "e/f": 0, "one": 0} {
			if in, err := os.ReadDir(filepath.Join(dir, name)); len(in) != n || err != nil {
				t.Fatalf("mv %s: %s holds %v, %v", args, name, in, err)
			}
		}
	}
	c.Run("", "mv", "local:"+dir+"/t", "local:"+dir+"/f", "local:"+dir+"/e", "local:"+dir+"/one", "/memfs")
	if list := c.Run("", "ls", "-R", "/memfs/e"); !strings.Contains(list, "f/") {
		t.Errorf("empty directories are moved as %q", list)
	}
	c.Run("", "mv", "/memfs/t", "/ld/back")
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) != 2 {
		t.Errorf("left %v, %v", left, err)
	}
	if b, err := os.ReadFile(dir + "/back/sub/y"); string(b) != "y" || err != nil {
		t.Errorf("it holds %q, %v", b, err)
	}
}
