package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// Of every command that the shell has besides those on files it is said what it
// touches of the local machine, by arguments and flags that it has.
func TestLocalFilesOfAll(t *testing.T) {
	said := localFiles()
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		words, ok := said[path]
		if !ok && !c.HasSubCommands() && c.Runnable() {
			t.Errorf("%s: localFiles does not say what it touches", path)
		}
		delete(said, path)
		for word := range strings.FieldsSeq(words) {
			if name, flag := strings.CutPrefix(word, "--"); flag && c.Flags().Lookup(name) == nil {
				t.Errorf("%s has no flag %s", path, word)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub, path+" "+sub.Name())
		}
	}
	for _, c := range more(cli.New(nil, nil, nil)) {
		walk(c, c.Name())
	}
	for path := range said {
		t.Errorf("there is no command %q", path)
	}
}

// In the shell, commands that administer touch nothing of the local machine that is
// not marked, and outside of it what they always have.
func TestMarkedFilesOfAdministration(t *testing.T) {
	clitest.Start(t)
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if err := os.WriteFile("n.yaml", []byte("server: {address: \"127.0.0.1:1\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hint := func(name string) string {
		return "pfs: " + name + " is not marked as a file of the local machine\nhint: write local:" + name + "\n"
	}
	for _, c := range []struct{ command, errs string }{
		{"config validate n.yaml", hint("n.yaml")},
		{"config validate local:n.yaml n.yaml", hint("n.yaml")},
		{"cluster backup --verify b", hint("b")},
		{"cluster backup b", hint("b")},
		{"cluster restore b", hint("b")},
		{"cluster init-certs n1", "pfs: pfs cluster init-certs is not told where on the local machine\nhint: add --dir local:certs\n"},
		{"cluster init-certs n1 --dir c", hint("c")},
		{"cluster init-certs n1 --dir local:c --ca c", hint("c")},
		{"cluster recover --data-dir d --cluster-id x", hint("d")},
		{"debug log-dump --data-dir d", hint("d")},
		{"man --dir m", hint("m")},
		{"plugin new --lang c notes", "pfs: pfs plugin new is not told where on the local machine\nhint: add local:DIRECTORY\n"},
		{"plugin new --lang c notes notes", hint("notes")},
		{"plugin test p.wasm", hint("p.wasm")},
		{"plugin test local:p.wasm --scripts s", hint("s")},
		{"plugin bench local:p.wasm q.wasm", hint("q.wasm")},
		{"plugin bench local:p.wasm --cpuprofile c", hint("c")},
		{"context add x http://127.0.0.1:1 --cacert n.yaml", hint("n.yaml")},
		{"bench", "pfs: bench runs a program of the local machine, which the shell does not do unmarked\nhint: run it outside of the shell, as: !pfs bench\n"},
	} {
		r := pfs(t, "", "sh", "-c", c.command)
		if r.Code != cli.ExitUsage || r.Stdout != "" || r.Stderr != c.errs {
			t.Errorf("%s: %d\n%s%s\nwant: 2\n%s", c.command, r.Code, r.Stdout, r.Stderr, c.errs)
		}
	}
	if names, err := filepath.Glob("*"); err != nil || strings.Join(names, " ") != "n.yaml" {
		t.Errorf("they left %v, %v", names, err)
	}
	must(t, "", "sh", "-ec", "config validate local:n.yaml; cluster init-certs -q n1 --dir local:c; plugin new -q --lang c notes local:notes; man --dir local:m")
	if r := pfs(t, "", "sh", "-c", "cluster backup --verify local:n.yaml; cluster backup --verify - < local:n.yaml"); strings.Count(r.Stderr, "damaged backup") != 2 {
		t.Errorf("a marked file, and stdin: %d\n%s", r.Code, r.Stderr)
	}
	must(t, "", "config", "validate", "n.yaml")
	if names, err := filepath.Glob("*"); err != nil || strings.Join(names, " ") != "c m n.yaml notes" {
		t.Errorf("they made %v, %v", names, err)
	}
}
