package pfs

import (
	"go/build/constraint"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const maxPlant = 25 // lines

// planted is what a build tag must begin with that changes what the programs
// do, so that tests have something to find or to step.
var planted = []string{"plant_", "soak_"}

// TestPlants keeps planted bugs small, and out of every build that is not made
// to be tested: nothing that builds for anybody else names a tag.
func TestPlants(t *testing.T) {
	h, err := openHouse(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range h.files {
		for _, group := range f.tree.Comments {
			for _, c := range group.List {
				x, err := constraint.Parse(c.Text)
				if err != nil || c.Pos() > f.tree.Package || !plants(x) {
					continue
				}
				if found++; f.lines > maxPlant {
					t.Errorf("%s: %d lines under a tag for tests, at most %d", f.name, f.lines, maxPlant)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no file has a tag for tests")
	}
	for _, name := range []string{"Makefile", ".ci", "scripts", "configs", "cmd", "server"} {
		err := filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			for _, tag := range planted {
				if strings.Contains(string(b), tag) {
					t.Errorf("%s names a tag for tests", p)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// plants reports whether a constraint asks for a tag for tests.
func plants(x constraint.Expr) (yes bool) {
	x.Eval(func(tag string) bool {
		for _, p := range planted {
			yes = yes || strings.HasPrefix(tag, p)
		}
		return false
	})
	return yes
}
