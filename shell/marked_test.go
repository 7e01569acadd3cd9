package shell

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/client"
)

// Commands that have a local side outside of the shell have it marked in it.
func TestUnmarkedLocal(t *testing.T) {
	clitest.Start(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x", []byte("here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, "cd /memfs; echo there > x; cp -q pfs:x y; cat y; cp -q x pfs:z; cat z; mkdir d; mkdir d/e; sync -q pfs:d f; [ -d f/e ] && echo synced", 0,
		"there\nthere\nsynced\n", "")
	unmarked := "pfs: x is not marked as a file of the local machine\nhint: write local:x\n"
	want(t, "put x /memfs/p", 2, "", unmarked)
	want(t, "get /memfs/x", 2, "", unmarked)
	want(t, "get /memfs/y x", 2, "", unmarked)
	want(t, "put local:x /memfs/p; cat /memfs/p; echo in | put - /memfs/p; get -q /memfs/p -; get -q /memfs/p local:g; !cat g", 0, "here\nin\nin\n", "")
	want(t, "upload -q x /memfs/; cat /memfs/x; download -q /memfs/p d; !cat d", 0, "here\nin\n", "")
	want(t, "mkdir /queuefs/q; queue put -q /queuefs/q m; queue work /queuefs/q --until-empty --exec 'touch w'", 2, "…",
		"pfs: queue work runs a program of the local machine, which the shell does not do unmarked\nhint: run it outside of the shell, as: !pfs queue work\n")
	want(t, "watch -n 1 /memfs/x --exec 'touch w'", 2, "", "pfs: watch --exec runs a program …\nhint: …!pfs watch --exec\n")
	names, err := filepath.Glob("*")
	if err != nil || strings.Join(names, " ") != "d g x" {
		t.Errorf("the local directory has %v, %v", names, err)
	}
}

// No pattern of the server's names gives a word that means something else.
func TestNamesThatAreMarks(t *testing.T) {
	clitest.Start(t)
	t.Chdir(t.TempDir())
	left := func(names ...string) string {
		out := ""
		for _, n := range names {
			out += "pfs: patterns leave " + n + " out: it is to be named, as ./" + n + "\n"
		}
		return out
	}
	setUp := "mkdir /memfs/d; cd /memfs/d; echo 1 > ./local:a; echo 2 > ./pfs:b; echo 3 > './!c'; echo 4 > d; mkdir ./local:..; "
	want(t, setUp+"cd /; echo memfs/d/*", 0, "memfs/d/!c memfs/d/d memfs/d/local:.. memfs/d/local:a memfs/d/pfs:b\n", "")
	want(t, "cd /memfs/d; echo *", 0, "d\n", left("!c", "local:..", "local:a", "pfs:b"))
	want(t, "cd /memfs/d; echo */*", 0, "*/*\n", left("!c", "local:..", "local:a", "pfs:b"))
	want(t, "cd /memfs/d; cat ./local:a ./pfs:b ./!c", 0, "1\n2\n3\n", "")
	if err := os.WriteFile("only", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, "cd /memfs/d; [ -s ./local:a ] && echo a; [ -e ./local:only ] || echo none; [ -e local:only ] && echo only; cd ./local:.. && pwd", 0,
		"a\nnone\nonly\n/memfs/d/local:..\n", "")
	// Of [[ as of [, and where the interpreter reads the script itself; the name counts, not how it came about.
	double := "cd /memfs/d; n=local:; [[ -s ./local:a ]] && echo a; [[ -e ./local:only || -e /memfs/d/local:only || -e '' ]] || echo none; " +
		"[[ -e local:only && -e ${n}only && -d local: && -r local:only ]] && echo only; [[ -d ~ && -f pfs:a1 ]] || echo home; f=./${n}only; [[ -e $f ]] || echo none; " +
		"[[ local:only -nt ./local:only ]] && echo newer; [[ ! -s local:only && -z '' && 2 -gt 1 && a != b ]] && echo rest"
	same := "a\nnone\nonly\nhome\nnone\nnewer\nrest\n"
	want(t, double, 0, same, "")
	want(t, `eval "`+strings.NewReplacer(`"`, `\"`, "$", `\$`).Replace(double)+`"`, 0, same, "")
	want(t, "f() { [[ -e ./local:only ]] || echo none; }; trap f EXIT; cd /memfs/d; f", 0, "none\nnone\n", "")
}

// What was quoted is no pattern of a command's either.
func TestQuotedPatterns(t *testing.T) {
	clitest.Start(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, "mkdir /memfs/d; cd /memfs/d; echo 1 > a1; echo 2 > a2; rm 'a*'; echo $?; cp 'a?' b; echo $?; cp 'local:a?' b; echo $?; ls", 0, "4\n4\n4\na1\na2\n",
		"pfs: remove: /memfs/d/a*: not found (not_found)\nhint: …\npfs: stat: /memfs/d/a?: not found (not_found)\nhint: …\npfs: stat a?: no such file…\n")
	want(t, "cd /memfs/d; rm a*; cp -q local:./a* b; ls", 0, "b\n", "")
}

// A client of one authority is not that of another.
func TestClientsByTrust(t *testing.T) {
	p := &pool{by: map[string]*client.Client{}}
	defer p.close()
	config := client.Config{URLs: []string{"https://127.0.0.1:1"}}
	seen := map[*client.Client]bool{}
	for _, s := range []cli.Server{{}, {CACert: "a"}, {CACert: "b"}, {Cert: "a"}, {Key: "a"}, {Cert: "a"}} {
		c, err := p.connect(s, config)
		if err != nil {
			t.Fatal(err)
		}
		seen[c] = true
	}
	if len(seen) != 5 {
		t.Errorf("there are %d clients", len(seen))
	}
}

// Files that exec has redirected to at the terminal are written when the shell ends;
// what is left in the background writes nothing.
func TestExecAtTheTerminal(t *testing.T) {
	clitest.Start(t)
	s, _, errs := started(t)
	for _, text := range []string{"cd /memfs", "{ echo part; sleep 60; } > left &", "exec > log", "echo kept"} {
		if code, exited := s.line(t.Context(), text); code != 0 || exited {
			t.Fatalf("%s: %d %v", text, code, exited)
		}
	}
	code, exited := s.line(t.Context(), "exit")
	s.leave(t.Context(), code)
	said := errs.String()
	if strings.Contains(said, "left") && !strings.Contains(said, "log") { // it had not begun
		said = ""
	}
	if !exited || said != "" {
		t.Errorf("it ended with %v %q", exited, said)
	}
	want(t, "cat /memfs/log; [ -e /memfs/left ] || echo none", 0, "kept\nnone\n", "")
}

// Names cannot steer the terminal, neither offered nor told of.
func TestNamesForTheTerminal(t *testing.T) {
	clitest.Start(t)
	want(t, "cd /memfs; : > $'n\\u202em'; : > nice; sort $'no\\033[1m'", 2, "", `sort: no\x1b[1m: …`+"\n")
	s, _, _ := started(t)
	c := &completer{s: s, ctx: t.Context(), lists: map[string]listed{}}
	if got := c.files("/memfs/n"); strings.Join(got, " ") != "/memfs/nice" {
		t.Errorf("it offers %q", got)
	}
}
