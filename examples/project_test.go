package examples

import (
	"os"
	"path"
	"strings"
	"testing"
)

// Every language that has a directory can be begun, and every example of it is a
// project that builds what its name says, and nothing else.
func TestProjects(t *testing.T) {
	dirs, err := Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	known, seen := map[string]bool{}, map[string]bool{}
	for _, l := range Languages() {
		if seen[l.Name] {
			t.Errorf("%s comes twice", l.Name)
		}
		known[l.dir], seen[l.Name] = true, true
		for _, example := range l.Examples() {
			files, err := l.Project(example, "my-notes")
			if err != nil {
				t.Errorf("%s %s: %v", l.Name, example, err)
				continue
			}
			main := strings.ReplaceAll(l.Main, "*", "my-notes")
			if !strings.Contains(files[main], "my-notes") {
				t.Errorf("%s %s: %s does not have the name", l.Name, example, main)
			}
			if !strings.Contains(files["Makefile"], "\nPLUGINS := my-notes\n") {
				t.Errorf("%s %s: the Makefile builds\n%s", l.Name, example, files["Makefile"])
			}
			if l.gomod != (files["go.mod"] != "") {
				t.Errorf("%s %s: go.mod is %q", l.Name, example, files["go.mod"])
			}
			for p, text := range files {
				stem, _ := split(p)
				if l.types[stem] != "" || strings.Contains(text, "pfs-project/pfs/examples/"+l.dir+"/") {
					t.Errorf("%s %s: %s is of another plugin", l.Name, example, p)
				}
			}
			if readme := files["README.md"]; !strings.Contains(readme, l.Output("my-notes", "so")) || strings.Contains(readme, "NAME") {
				t.Errorf("%s %s: %s", l.Name, example, readme)
			}
		}
	}
	for _, d := range dirs {
		if d.IsDir() && !known[d.Name()] {
			t.Errorf("no language begins with %s", d.Name())
		}
	}
}

func TestNames(t *testing.T) {
	l := Languages()[0]
	for _, bad := range []string{"", "A", "1a", "a/b", "../x", "a.b", "build", "plugin", strings.Repeat("a", 50)} {
		if _, err := l.Project("hello", bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := l.Project("words", "x"); err == nil || !strings.Contains(err.Error(), "hello, memory") {
		t.Error(err)
	}
}

// Modules of projects ask for the Go that PFS is built with.
func TestGoVersion(t *testing.T) {
	b, err := os.ReadFile(path.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "\ngo "+goVersion+"\n") {
		t.Errorf("projects ask for go %s", goVersion)
	}
}
