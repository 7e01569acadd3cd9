package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// between puts a proxy between the shell and the server: it lets fault answer what
// it wants to, and reports what was asked.
func between(t *testing.T, target string, fault func(w http.ResponseWriter, r *http.Request) bool) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	to := httputil.NewSingleHostReverseProxy(u)
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			to.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	clitest.TalkTo(t, p.URL)
}

// The interpreter looks at no error of a file that it closes.
func TestCommitsThatFail(t *testing.T) {
	s := clitest.Start(t)
	between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Query().Get("path"), "full") {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInsufficientStorage)
		_, _ = io.WriteString(w, `{"error":"write: /memfs/full: no space","code":"no_space"}`)
		return true
	})
	said := "pfs: write: /memfs/full: no space (no_space)\n"
	for _, c := range []struct {
		script, stdout, stderr string
		code                   int
	}{
		{"echo x > /memfs/full", "", said, 8},
		{"echo x > /memfs/full && echo yes || echo no", "no\n", said, 0},
		{"echo x > /memfs/full; echo $?; echo y > /memfs/ok; echo $?", "8\n0\n", said, 0},
		{"set -e; echo x > /memfs/full; echo not here", "", said, 8},
		{"f() { echo x; } > /memfs/full; f; echo $?", "8\n", said, 0},
		{"for i in 1 2; do echo $i; done > /memfs/full; echo $?", "8\n", said, 0},
		{"if ! echo x > /memfs/full; then echo caught; fi", "caught\n", said, 0},
		{"false > /memfs/full; echo $?", "1\n", said, 0},
		{"eval 'echo x > /memfs/full'; echo $?", "8\n", said, 0},
		{"echo x >> /memfs/full; echo $?", "8\n", said, 0},
		{"echo x > /memfs/full & wait $!; echo $?", "8\n", said, 0},
		{"echo x | cat > /memfs/full; echo $?", "8\n", said, 0},
		{"(echo x > /memfs/full); echo $?", "8\n", said, 0},
		{"exec > /memfs/full; echo x", "", said, 8},
		{"trap 'echo x > /memfs/full; echo trapped' EXIT", "trapped\n", said, 0},
		{": > /memfs/s; echo 'echo y > /memfs/full' >> /memfs/s; . /memfs/s; echo $?", "8\n", said, 0},
		{"seq 1 200000 > /memfs/full; echo $?", "8\n", said, 0},
		{"echo x | tee /memfs/full; echo $?", "x\n1\n", "tee: /memfs/full: …no space…\n", 0},
	} {
		want(t, c.script, c.code, c.stdout, c.stderr)
	}
}

// What is read short is not the end of a file.
func TestReadsThatFail(t *testing.T) {
	s := clitest.Start(t)
	between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Query().Get("path") != "/memfs/cut" || !strings.HasSuffix(r.URL.Path, "/files") {
			return false
		}
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "part\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	want(t, "sort < /memfs/cut; echo $?", 0, "part\n5\n", "pfs: read /memfs/cut: …unexpected EOF…\n")
	want(t, "x=$(</memfs/cut) || echo failed", 0, "failed\n", "pfs: read /memfs/cut: …unexpected EOF…\n")
	want(t, "while read l; do echo got $l; done < /memfs/cut || echo failed", 0, "got part\nfailed\n", "pfs: read /memfs/cut: …unexpected EOF…\n")
}

// Nobody there is neither "yes" nor "no".
func TestNoServer(t *testing.T) {
	clitest.TalkTo(t, "http://127.0.0.1:1")
	gone := "pfs: …connection refused…\n"
	want(t, "echo starts", 0, "starts\n", "")
	want(t, "[ -e /memfs/a ]; echo $?", 0, "5\n", gone)
	want(t, "cd /memfs; echo $?", 0, "5\n", gone)
	want(t, "echo x > /memfs/a; echo $?", 0, "1\n", gone)
	want(t, "cat < /memfs/a; echo $?", 0, "1\n", gone)
	want(t, "cat /memfs/a; echo $?", 0, "5\n", gone+"hint: …\n")
}

func TestRefusals(t *testing.T) {
	clitest.Start(t)
	want(t, "cat <(ls)", 2, "", "pfs: line 1: <(…) is not supported: use a pipe, or a file\n")
	want(t, "eval 'cat <(ls)'; echo $?", 0, "2\n", "pfs: line 1: <(…) is not supported: use a pipe, or a file\n")
	want(t, "echo 'cat >(ls)' > /memfs/s; . /memfs/s; echo $?", 0, "1\n", "source: pfs: read /memfs/s: line 1: >(…) is not supported: use a pipe, or a file\n")
	want(t, "if true", 2, "", "pfs: test:1:1: …\n")
	want(t, "sl /; echo $?", 0, "127\n", "pfs: sl: not found\nhint: did you mean: ls\n")
	want(t, "chroot /memfs", 127, "", "pfs: chroot: not found\nhint: …\n")
	want(t, "echo x > /memfs; echo > /no/dir; echo > /memfs/no/dir", 1, "",
		"pfs: write /memfs: is a directory\npfs: write /no/dir: not found (not_found)\npfs: write /memfs/no/dir: not found (not_found)\n")
	want(t, "/memfs/nix; echo $?; echo 'echo hi' > /memfs/s; /memfs/s; echo $?; sh /memfs/s", 0, "127\n126\nhi\n",
		"pfs: /memfs/nix: not found\npfs: /memfs/s: permission denied\nhint: …\n")
	want(t, "[ a -eq 1 ]; echo $?; printf '%d\\n' a; echo $?", 0, "2\n0\n1\n", "pfs: [: \"a\" is no number\npfs: printf: \"a\" is no number\n")
	want(t, "trap 'x' DEBUG; echo $?", 0, "2\n", "pfs: trap: DEBUG is no signal that can be trapped\n")
}

// A writer whose reader has left ends quietly, whatever it is.
func TestClosedPipes(t *testing.T) {
	clitest.Start(t)
	for _, writer := range []string{"yes", "seq 1 100000000", "while :; do echo y; done", "while :; do printf 'y\\n'; done",
		"{ while :; do cat /memfs/y; done; }"} {
		want(t, "echo y > /memfs/y; set -o pipefail; "+writer+" | sed 1q; echo $?", 0, "…\n141\n", "")
	}
	want(t, "yes | sed 1q; echo $?", 0, "y\n0\n", "")
}

// What > writes appears whole when the command has ended; what >> writes before.
func TestWhenWritesAppear(t *testing.T) {
	clitest.Start(t)
	want(t, "cd /memfs; echo old > f; { echo new; cat f; seq 1 50000; cat f | sed 1q; } > f; sed -n '1,2p;$p' f", 0, "new\nold\nold\n", "")
	want(t, "cd /memfs; { echo one; until [ -s g ]; do sleep 0.05; done; cat g; echo two; } >> g; cat g", 0, "one\none\ntwo\n", "")
	want(t, "cd /memfs; >> h; : > i; [ -f h ] && [ -f i ] && [ ! -s h ] && echo empty", 0, "empty\n", "")
	want(t, "cd /memfs; exec > j; echo in j; exec > k; cat j", 0, "", "")
	want(t, "cat /memfs/k; cat < /memfs/j > /memfs/j; cat /memfs/j", 0, "in j\nin j\n", "")
	want(t, "mkdir /queuefs/q; printf 'a\\nb\\n' > /queuefs/q/enqueue; echo c >> /queuefs/q/enqueue; cat /queuefs/q/size; echo; read x < /queuefs/q/dequeue; jq -r .data < /queuefs/q/dequeue; cat /queuefs/q/size",
		0, "2\nc\n0", "")
}

func TestTraps(t *testing.T) {
	node := clitest.Start(t)
	want(t, "trap 'echo bye' EXIT; exit 3", 3, "bye\n", "")
	want(t, "trap 'echo bye' 0 INT SIGTERM; trap - EXIT", 0, "", "")
	for n, c := range []struct {
		script, stdout string // @ is where the signal may come
		signal         os.Signal
		code           int
	}{
		{"@sleep 60", "", os.Interrupt, 130},
		{"@sleep 60", "", syscall.SIGTERM, 143},
		{"trap 'echo int' INT; trap 'echo exit' EXIT; @while :; do sleep 1; done", "int\nexit\n", os.Interrupt, 130},
		{"trap 'echo int; exit 4' INT; @yes | sort", "int\n", os.Interrupt, 4},
		{"trap 'echo bye > /memfs/bye; cat /memfs/bye' EXIT; @sleep 60 | cat", "bye\n", syscall.SIGTERM, 143},
		{"@sleep 60 & wait", "", os.Interrupt, 130},
	} {
		var out, errs bytes.Buffer
		signals := make(chan os.Signal, 1)
		s, err := New(Config{Env: cli.New(strings.NewReader(""), &out, &errs), Environ: os.Environ(), Signals: signals})
		if err != nil {
			t.Fatal(err)
		}
		ready := fmt.Sprint("/memfs/ready", n) // once it runs, and has set its traps
		go func() {
			for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
				resp, err := http.Get(node.URL + "/api/v1/stat?path=" + ready)
				if err != nil {
					continue
				}
				if resp.Body.Close(); resp.StatusCode == http.StatusOK {
					break
				}
			}
			signals <- c.signal
		}()
		text := strings.Replace(c.script, "@", ": > "+ready+"; ", 1)
		code := s.Run(t.Context(), Script{Name: "test", Text: strings.NewReader(text)})
		if code != c.code || out.String() != c.stdout || errs.String() != "" {
			t.Errorf("%s: %v: got %d %q %q, want %d %q", c.script, c.signal, code, out.String(), errs.String(), c.code, c.stdout)
		}
		s.Close()
	}
}

// An interrupted > leaves the file as it was.
func TestInterruptedWrite(t *testing.T) {
	clitest.Start(t)
	want(t, "echo old > /memfs/f", 0, "", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got := ranFrom(ctx, t, strings.NewReader(""), "yes > /memfs/f"); got.Code != cli.ExitInterrupted {
		t.Errorf("it ended with %+v", got)
	}
	want(t, "cat /memfs/f", 0, "old\n", "")
}

// Of the local machine only what is marked is touched.
func TestLocal(t *testing.T) {
	clitest.Start(t)
	dir := t.TempDir()
	t.Chdir(dir)
	want(t, "echo x > local:a; cat < local:a; local:cat a; echo hi | !tr h H; local:sh -c 'exit 7'; echo $?; !nix; echo $?", 0,
		"x\nx\nHi\n7\n127\n", "pfs: local:nix: not found on the local machine\n")
	want(t, "local:sh -c 'kill -9 $$'; echo $?; x=5; export y=6; !sh -c 'echo $x.$y'", 0, "137\n.6\n", "")
	want(t, "echo 'echo from here' > local:s.sh; . local:s.sh; sort local:a; echo z | tee local:b; [ -f local:b ] && echo there", 0,
		"from here\nx\nz\nthere\n", "")
	want(t, "echo $HOME; cd; pwd; [ -e /etc/passwd ] || echo no; . /etc/passwd; cat /etc/passwd; ls /etc/*; command -v passwd", 1, "/\n/\nno\n",
		"source: pfs: read /etc/passwd: not found (not_found)\npfs: read: /etc/passwd: not found (not_found)\npfs: readdir: /etc/*: not found (not_found)\n")
	names, err := filepath.Glob("*")
	if err != nil || strings.Join(names, " ") != "a b s.sh" {
		t.Errorf("the local directory has %v, %v", names, err)
	}
}

func TestFeed(t *testing.T) {
	clitest.Start(t)
	s, out, errs := started(t)
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "cd /memfs\nf() {\necho in $1\n}\nf a\ncat <<E\nhere\nE\ntrap 'echo bye' EXIT\nfalse\n")
		_ = w.Close()
	}()
	if code := s.Feed(t.Context(), r); code != 1 || out.String() != "in a\nhere\nbye\n" || errs.String() != "" {
		t.Errorf("got %d %q %q", code, out.String(), errs.String())
	}
}
