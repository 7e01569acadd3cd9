package shell

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// ran runs a script against the server that PFS_URL names.
func ran(t *testing.T, script string, args ...string) clitest.Ran {
	t.Helper()
	return ranFrom(t.Context(), t, strings.NewReader(""), script, args...)
}

func ranFrom(ctx context.Context, t *testing.T, stdin *strings.Reader, script string, args ...string) clitest.Ran {
	t.Helper()
	var out, errs bytes.Buffer
	s, err := New(Config{Env: cli.New(stdin, &out, &errs), Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	code := s.Run(ctx, Script{Name: "test", Args: args, Text: strings.NewReader(script)})
	return clitest.Ran{Code: code, Stdout: out.String(), Stderr: errs.String()}
}

// started is a shell that reads nothing, and what it writes.
// heard is what a shell has written, also by what it has left in the background.
type heard struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

func started(t *testing.T) (s *Shell, stdout, stderr *heard) {
	t.Helper()
	stdout, stderr = &heard{}, &heard{}
	s, err := New(Config{Env: cli.New(strings.NewReader(""), stdout, stderr), Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, stdout, stderr
}

// want compares; … is anything on one line.
func want(t *testing.T, script string, code int, stdout, stderr string) {
	t.Helper()
	got := ran(t, script)
	if got.Code != code || !clitest.Like(stdout, got.Stdout) || !clitest.Like(stderr, got.Stderr) {
		t.Errorf("%s\n got %d %q %q\nwant %d %q %q", script, got.Code, got.Stdout, got.Stderr, code, stdout, stderr)
	}
}

func TestLanguage(t *testing.T) {
	clitest.Start(t)
	for _, c := range []struct{ script, stdout string }{
		{"echo hi > /memfs/a; cat /memfs/a", "hi\n"},
		{"cd /memfs; echo more >> a; cat < a; pwd", "hi\nmore\n/memfs\n"},
		{"for i in 1 2 3; do echo $i; done > /memfs/n; cat /memfs/n | cat", "1\n2\n3\n"},
		{"x=$(cat /memfs/n); echo \"$x\"; echo $(</memfs/n)", "1\n2\n3\n1 2 3\n"},
		{"mkdir -p /memfs/d/e; cd /memfs/d; echo 1 > e/f1; echo 2 > e/f2; echo */f? /memfs/*/e/*[12]", "e/f1 e/f2 /memfs/d/e/f1 /memfs/d/e/f2\n"},
		{"f() { echo in $1; return 3; }; f x; echo $?", "in x\n3\n"},
		{"cat <<EOF\n$((1 + 2))\nEOF", "3\n"},
		{"(cd /memfs; pwd); cd memfs/../memfs/d/; pwd; cd ..; pwd; cd -; cd; pwd", "/memfs\n/memfs/d\n/memfs\n/memfs/d\n/\n"},
		{"echo err > /memfs/e 2>&1; { echo o; ls /nix; } > /memfs/e 2>&1; cat /memfs/e", "o\npfs: readdir: /nix: not found (not_found)\n"},
		{"sl() { echo mine; }; echo() { printf 'my %s\\n' \"$1\"; }; sl; echo x", "my mine\nmy x\n"},
		{"printf '%5.2f|%-4s|%04d|%x|%c|%%|%b|%.2s\\n' 3.14159 a 7 255 xyz 'q\\tr' abc", " 3.14|a   |0007|ff|x|%|q\tr|ab\n"},
		{"printf '%s-%s\\n' a b c; printf '%d %i\\n' \"'A\" 010; printf 'a%%b\\101\\n'; printf %s%*d x 4 2; printf '\\nno\\n' arg", "a-b\nc-\n65 8\na%bA\nx   2\nno\n"},
		{"cd /memfs; exec > x; echo hidden; exec >&2; [ -s x ]", ""},
		{"echo bg > /memfs/bg & wait; cat /memfs/bg", "bg\n"},
		{"echo 'echo $1 $#; v=7' > /memfs/s; . /memfs/s a b; echo $v", "a 2\n7\n"},
		{"cd /memfs; eval 'echo ev > ev'; cat ev", "ev\n"},
		{"[ -f /memfs/a ] && [ -d /memfs/d ] && [ ! -e /memfs/nix ] && [ -s /memfs/a ] && [[ -r /memfs/a ]] && echo yes", "yes\n"},
		{"echo gone > /dev/null; echo said > /dev/stdout", "said\n"},
		{"command -v cat; command -v nix; echo $?", "cat\n1\n"},
		{"function f { if [ $1 = a ]; then echo A; elif [ $1 = b ]; then echo B; else echo C; fi; }; f a; f b; f c", "A\nB\nC\n"},
	} {
		want(t, c.script, 0, c.stdout, "")
	}
}
