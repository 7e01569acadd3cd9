package verbs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/verbs"
)

// pfs is a program with the commands of this package alone.
var pfs = clitest.Of(func(e *cli.Env) *cobra.Command {
	root := &cobra.Command{Use: "pfs"}
	e.Flags(root)
	root.AddCommand(verbs.All(e)...)
	return root
})

// step is a command line, and what is to come of it.
type step clitest.Step

func steps(t *testing.T, all []step) {
	t.Helper()
	for _, s := range all {
		pfs.Do(t, clitest.Step(s))
	}
}

// grown makes a tree: /memfs/t with a few files.
func grown(t *testing.T) {
	t.Helper()
	clitest.Start(t)
	p := pfs
	p.Must(t, "", "mkdir", "-p", "/memfs/t/a/b", "/memfs/t/.h", "/memfs/t/empty")
	p.Must(t, "one\ntwo\nthree\n", "put", "-", "/memfs/t/f.txt")
	p.Must(t, "Two too\nlast without end", "put", "-", "/memfs/t/a/g.go")
	p.Must(t, "", "put", "-", "/memfs/t/a/b/none")
	p.Must(t, strings.Repeat("x", 1500), "put", "-", "/memfs/t/.h/big")
}

func TestListings(t *testing.T) {
	grown(t)
	steps(t, []step{
		{"ls /memfs/t", "", 0, "a/\nempty/\nf.txt\n", ""},
		{"ls -a /memfs/t", "", 0, ".h/\na/\nempty/\nf.txt\n", ""},
		{"ls -r /memfs/t", "", 0, "f.txt\nempty/\na/\n", ""},
		{"ls -d /memfs/t /memfs/t/f.txt", "", 0, "/memfs/t/\n/memfs/t/f.txt\n", ""},
		{"ls /memfs/t/a /memfs/t/f.txt", "", 0, "/memfs/t/f.txt\n\n/memfs/t/a:\nb/\ng.go\n", ""},
		{"ls -R /memfs/t", "", 0, "/memfs/t:\na/\nempty/\nf.txt\n\n/memfs/t/a:\nb/\ng.go\n\n/memfs/t/a/b:\nnone\n\n/memfs/t/empty:\n", ""},
		{"ls /memfs/t/no /memfs/t/a", "", 10, "/memfs/t/a:\nb/\ng.go\n", "pfs: …not found…\npfs: 1 of 2 failed\n"},
		{"tree /memfs/t", "", 0, "/memfs/t\n├── a/\n│   ├── b/\n│   │   └── none\n│   └── g.go\n├── empty/\n└── f.txt\n\n3 directories, 3 files\n", ""},
		{"tree -L 1 -d --noreport /memfs/t", "", 0, "/memfs/t\n├── a/\n└── empty/\n", ""},
		{"stat -c %s-%a-%F-%% /memfs/t/f.txt", "", 0, "14-644-regular file-%\n", ""},
		{"stat -c %q /memfs/t/f.txt", "", 2, "", "pfs: -c knows no %q\nhint: see: pfs stat --help\n"},
		{"du /memfs/t", "", 0, "1500\t/memfs/t/.h\n0\t/memfs/t/a/b\n24\t/memfs/t/a\n0\t/memfs/t/empty\n1538\t/memfs/t\n", ""},
		{"du -sh /memfs/t", "", 0, "1.5K\t/memfs/t\n", ""},
		{"du -ac -d 1 /memfs/t/a", "", 0, "0\t/memfs/t/a/b\n24\t/memfs/t/a/g.go\n24\t/memfs/t/a\n24\ttotal\n", ""},
	})
	if got := pfs.Must(t, "", "df"); !strings.Contains(got, "use%") {
		t.Errorf("df: %q", got)
	}
	if got := pfs.Must(t, "", "tree", "--json", "/memfs/t/a"); strings.Count(got, `"path":`) != 4 {
		t.Errorf("tree --json: %s", got)
	}
}

func TestFind(t *testing.T) {
	grown(t)
	steps(t, []step{
		{"find /memfs/t -type f", "", 0, "/memfs/t/.h/big\n/memfs/t/a/b/none\n/memfs/t/a/g.go\n/memfs/t/f.txt\n", ""},
		{"find /memfs/t -name *.go -o -name *.txt", "", 0, "/memfs/t/a/g.go\n/memfs/t/f.txt\n", ""},
		{"find /memfs/t ( -name a -o -name .h ) -prune -o -type f -print", "", 0, "/memfs/t/f.txt\n", ""},
		{"find /memfs/t -size +1k", "", 0, "/memfs/t/.h/big\n", ""},
		{"find /memfs/t -maxdepth 1 ! -type d", "", 0, "/memfs/t/f.txt\n", ""},
		{"find /memfs/t -mindepth 1 -empty", "", 0, "/memfs/t/a/b/none\n/memfs/t/empty\n", ""},
		{"find /memfs/t -depth -type d", "", 0, "/memfs/t/.h\n/memfs/t/a/b\n/memfs/t/a\n/memfs/t/empty\n/memfs/t\n", ""},
		{"find /memfs/t -path */a/* -mtime -1 -iname NONE", "", 0, "/memfs/t/a/b/none\n", ""},
		{"find /memfs/t -newer /memfs/t/.h/big", "", 0, "", ""},
		{"find /memfs/t/a -type f -exec echo at {} ;", "", 0, "at /memfs/t/a/b/none\nat /memfs/t/a/g.go\n", ""},
		{"find /memfs/t/a -type f -exec echo {} +", "", 0, "/memfs/t/a/b/none /memfs/t/a/g.go\n", ""},
		{"find /memfs/t/a -type f -exec false {} +", "", 1, "", ""},
		{"find /memfs/t -nonsense", "", 2, "", "pfs: find: there is no -nonsense; see: pfs find --help\nhint: …\n"},
		{"find /memfs/t ( -name a", "", 2, "", "pfs: find: a ( is not closed\nhint: …\n"},
		{"find /memfs/t -name [", "", 2, "", "pfs: find: \"[\" is no pattern\nhint: …\n"},
		{"find /memfs/no", "", 4, "", "pfs: …not found…\n"},
		{"find /memfs/t -type d -name a -delete", "", 1, "", "pfs: …not empty…\n"},
		{"find /memfs/t/a -delete", "", 0, "", ""},
		{"find /memfs/t/a", "", 4, "", "pfs: …not found…\n"},
	})
}

func TestGrep(t *testing.T) {
	grown(t)
	steps(t, []step{
		{"grep two /memfs/t/f.txt", "", 0, "two\n", ""},
		{"grep -n -i two /memfs/t/f.txt /memfs/t/a/g.go", "", 0, "/memfs/t/f.txt:2:two\n/memfs/t/a/g.go:1:Two too\n", ""},
		{"grep -rl t /memfs/t", "", 0, "/memfs/t/a/g.go\n/memfs/t/f.txt\n", ""},
		{"grep -rc t /memfs/t/a", "", 0, "/memfs/t/a/b/none:0\n/memfs/t/a/g.go:2\n", ""},
		{"grep -rL t /memfs/t/a", "", 0, "/memfs/t/a/b/none\n", ""},
		{"grep -v t /memfs/t/f.txt", "", 0, "one\n", ""},
		{"grep -o -h t[wh]. /memfs/t/f.txt", "", 0, "two\nthr\n", ""},
		{"grep -q two /memfs/t/f.txt", "", 0, "", ""},
		{"grep nothing /memfs/t/f.txt", "", 1, "", ""},
		{"grep x /memfs/t/no", "", 4, "", "pfs: …not found…\n"},
		{"grep x /memfs/t", "", 2, "", "pfs: …search it with -r\n"},
		{"grep -E ( /memfs/t/f.txt", "", 2, "", "pfs: error parsing regexp: …\nhint: …\n"},
		{"grep -m 1 t /memfs/t/f.txt", "", 0, "two\n", ""},
		{"grep -A1 one /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"grep -n -B1 three /memfs/t/f.txt", "", 0, "2-two\n3:three\n", ""},
		{"grep -c a", "a\nb\na", 0, "2\n", ""},
		{"grep b", "a\x00b\n", 0, "Binary file (standard input) matches\n", ""},
		{"fsgrep -rn two /memfs/t", "", 0, "/memfs/t/f.txt:2:two\n", ""},
		{"fsgrep -c nothing /memfs/t/f.txt", "", 1, "0\n", ""},
	})
}

// Patterns mean what they mean to grep of the machine.
func TestGrepPatterns(t *testing.T) {
	clitest.Start(t)
	text := "a|b\na+b\naab\n(a)\na{2}\naa\n[x]\n*a\n^a$\nfoo.bar\nfooxbar\nword words\n\\d\n"
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pfs.Must(t, text, "put", "-", "/memfs/f")
	for _, args := range [][]string{
		{`a|b`}, {`a\|b`}, {"-E", `a|b`}, {`a+b`}, {`a\+b`}, {"-E", `a+b`}, {`(a)`}, {`\(a\)`}, {`a{2}`}, {`a\{2\}`}, {"-E", `a{2}`},
		{`*a`}, {`^*a`}, {`[x]`}, {`\[x]`}, {`[]x]`}, {`[^a-z]a`}, {`foo.bar`}, {"-F", `foo.bar`}, {"-F", `*a`}, {"-w", "word"}, {"-x", "aa"},
		{"-v", "a"}, {"-c", "a"}, {"-n", "o"}, {"-o", "o*b"}, {"-e", "foo", "-e", "aab"}, {"-i", "FOO"}, {"-C1", "aa"}, {"-A1", "-n", `\^a\$`},
		{"a.*b$"}, {"[[:digit:]]"}, {"-E", "(a)(b)?"}, {"-E", `\(a\)`}, {"-h", "a"}, {"-H", "-F", `\d`},
	} {
		want, err := exec.Command("grep", append(args, file)...).Output()
		if _, ok := err.(*exec.ExitError); err != nil && !ok {
			t.Fatal(err)
		}
		got := pfs.Run(t, "", append(append([]string{"grep"}, args...), "/memfs/f")...)
		if w := strings.ReplaceAll(string(want), file, "/memfs/f"); got.Stdout != w {
			t.Errorf("grep %q\n got %q %s\nwant %q", args, got.Stdout, got.Stderr, w)
		}
	}
}

// Many files are searched at a time and printed in order.
func TestGrepOrder(t *testing.T) {
	clitest.Start(t)
	p := pfs
	p.Must(t, "", "mkdir", "/memfs/d")
	var want strings.Builder
	for i := range 100 {
		p.Must(t, fmt.Sprintf("line %d\n", i), "put", "-", fmt.Sprintf("/memfs/d/%03d", i))
		fmt.Fprintf(&want, "/memfs/d/%03d:line %d\n", i, i)
	}
	p.Must(t, strings.Repeat("a line to search\n", 100_000), "put", "-", "/memfs/d/050big")
	if got := p.Must(t, "", "grep", "-r", "line [0-9]", "/memfs/d"); got != want.String() {
		t.Errorf("got %q", got)
	}
	if r := p.Run(t, "", "grep", "-rq", "line 7$", "/memfs/d"); r.Code != 0 || r.Stdout != "" {
		t.Errorf("%+v", r)
	}
}

func TestHeadsAndCounts(t *testing.T) {
	grown(t)
	steps(t, []step{
		{"head -n 2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"head -2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"tail -1 /memfs/t/f.txt", "", 0, "three\n", ""},
		{"head -q -2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"head -2q /memfs/t/f.txt /memfs/t/f.txt", "", 0, "one\ntwo\none\ntwo\n", ""},
		{"head --lines=1 -2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"head -n1 -2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"head -o text -2 /memfs/t/f.txt", "", 0, "one\ntwo\n", ""},
		{"head -qn -2 /memfs/t/f.txt", "", 0, "one\n", ""},
		{"head --lines -2 /memfs/t/f.txt", "", 0, "one\n", ""},
		{"head -2n /memfs/t/f.txt", "", 2, "", "pfs: unknown shorthand flag: '2' in -2n\nhint: see: pfs head --help\n"},
		{"head -x2 /memfs/t/f.txt", "", 2, "", "pfs: unknown shorthand flag: 'x' in -x2\nhint: see: pfs head --help\n"},
		{"head -n -2 /memfs/t/f.txt", "", 0, "one\n", ""},
		{"head -c 5 /memfs/t/f.txt", "", 0, "one\nt", ""},
		{"head -c -4 /memfs/t/f.txt", "", 0, "one\ntwo\nth", ""},
		{"head -n1 /memfs/t/f.txt /memfs/t/a/g.go", "", 0, "==> /memfs/t/f.txt <==\none\n\n==> /memfs/t/a/g.go <==\nTwo too\n", ""},
		{"head -q -n1 /memfs/t/f.txt /memfs/t/a/g.go", "", 0, "one\nTwo too\n", ""},
		{"head -n x /memfs/t/f.txt", "", 2, "", "pfs: \"x\" is no number such as 10, 4K or 2M\nhint: …\n"},
		{"head -c 1K /memfs/t/.h/big", "", 0, strings.Repeat("x", 1024), ""},
		{"wc /memfs/t/f.txt", "", 0, "3 3 14 /memfs/t/f.txt\n", ""},
		{"wc -l", "a\nb", 0, "1\n", ""},
		{"wc -m", "äö\n", 0, "3\n", ""},
		{"wc -wc /memfs/t/f.txt /memfs/t/a/g.go", "", 0, "3 14 /memfs/t/f.txt\n5 24 /memfs/t/a/g.go\n8 38 total\n", ""},
		{"cat -n /memfs/t/f.txt", "", 0, "     1\tone\n     2\ttwo\n     3\tthree\n", ""},
		{"cat /memfs/t/f.txt -", "in\n", 0, "one\ntwo\nthree\nin\n", ""},
	})
}

func TestDiff(t *testing.T) {
	grown(t)
	p := pfs
	p.Must(t, "one\n2\nthree\n", "put", "-", "/memfs/t/f2.txt")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.txt"), []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps(t, []step{
		{"diff /memfs/t/f.txt /memfs/t/f.txt", "", 0, "", ""},
		{"diff /memfs/t/f.txt local:" + dir, "", 0, "", ""},
		{"diff /memfs/t/f.txt /memfs/t/f2.txt", "", 1, "--- /memfs/t/f.txt\n+++ /memfs/t/f2.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n", ""},
		{"diff -q /memfs/t/f.txt /memfs/t/f2.txt", "", 1, "Files /memfs/t/f.txt and /memfs/t/f2.txt differ\n", ""},
		{"diff -r /memfs/t/a /memfs/t/empty", "", 1, "Only in /memfs/t/a: b\nOnly in /memfs/t/a: g.go\n", ""},
		{"diff /memfs/t/a /memfs/t/empty", "", 2, "", "pfs: …compare them with -r\nhint: …\n"},
		{"diff /memfs/t/no /memfs/t/f.txt", "", 4, "", "pfs: …not found…\n"},
		{"diff - /memfs/t/a/g.go", "Two too\nlast without end", 0, "", ""},
	})
}

// What the node computes is what is there.
func TestDigest(t *testing.T) {
	clitest.Start(t)
	pfs.Must(t, "hello\n", "put", "-", "/memfs/f")
	steps(t, []step{
		{"digest -a md5 /memfs/f", "", 0, "b1946ac92492d2347c6235b4d2611184  /memfs/f\n", ""},
		{"digest -a sha9 /memfs/f", "", 2, "", "pfs: …\nhint: …\n"},
		{"digest /memfs/no", "", 4, "", "pfs: …\n"},
	})
}
