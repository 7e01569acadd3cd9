package verbs_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/test/harness"
)

// serve starts a server in memory with streams and what is outside the log.
func serve(t *testing.T) *apitest.Server {
	t.Helper()
	s := apitest.Start(t, apitest.Config{Plugins: plugins.Builtin(nil), Level: true})
	for path, fs := range map[string]string{"/memfs": "memfs", "/queuefs": "queuefs", "/kvfs": "kvfs", "/streamfs": "streamfs", "/info": "serverinfofs"} {
		s.Mount(t, path, fs, nil)
	}
	clitest.TalkTo(t, s.URL)
	return s
}

func TestTailShows(t *testing.T) {
	serve(t)
	long := strings.Repeat("0123456789abcde\n", 20_000) // 320 kB
	pfs.Must(t, long, "put", "-", "/memfs/long")
	pfs.Must(t, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "put", "-", "/memfs/f")
	pfs.Must(t, "one\ntwo", "put", "-", "/memfs/g")
	pfs.Must(t, "", "put", "-", "/memfs/empty")
	pfs.Must(t, "a\nb\nc\n", "put", "--append", "-", "/streamfs/s")
	twelve := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"
	for _, s := range []clitest.Step{
		{Args: "tail /memfs/f", Stdout: twelve[4:]},
		{Args: "tail -n 2 /memfs/f", Stdout: "11\n12\n"},
		{Args: "tail -n -1 /memfs/f", Stdout: "12\n"},
		{Args: "tail -n +11 /memfs/f", Stdout: "11\n12\n"},
		{Args: "tail -n +1 /memfs/f", Stdout: twelve},
		{Args: "tail -n +0 /memfs/f", Stdout: twelve},
		{Args: "tail -n +13 /memfs/f"},
		{Args: "tail -n 0 /memfs/f"},
		{Args: "tail -n 12 /memfs/f", Stdout: twelve},
		{Args: "tail -n 99 /memfs/f", Stdout: twelve},
		{Args: "tail -c 4 /memfs/f", Stdout: "\n12\n"},
		{Args: "tail -c +26 /memfs/f", Stdout: "2\n"},
		{Args: "tail -c 1K /memfs/f", Stdout: twelve},
		{Args: "tail -c +99 /memfs/f"},
		{Args: "tail -n 1 /memfs/g", Stdout: "two"},
		{Args: "tail -n 2 /memfs/g", Stdout: "one\ntwo"},
		{Args: "tail /memfs/empty"},
		{Args: "tail -c 3 /memfs/empty"},
		{Args: "tail -n 1 /memfs/long", Stdout: long[:16]},
		{Args: "tail -n 10000 /memfs/long", Stdout: long[:160_000]},
		{Args: "tail -n 20000 /memfs/long", Stdout: long},
		{Args: "tail -n +19999 /memfs/long", Stdout: long[:32]},
		{Args: "tail -c 100000 /memfs/long", Stdout: long[220_000:]},
		{Args: "tail -n 1 /memfs/f /memfs/empty /memfs/g", Stdout: "==> /memfs/f <==\n12\n\n==> /memfs/empty <==\n\n==> /memfs/g <==\ntwo"},
		{Args: "tail -q -n 1 /memfs/f /memfs/g", Stdout: "12\ntwo"},
		{Args: "tail -v -n 1 /memfs/f", Stdout: "==> /memfs/f <==\n12\n"},
		{Args: "tail -n 2", Stdin: twelve, Stdout: "11\n12\n"},
		{Args: "tail -n +11 -", Stdin: twelve, Stdout: "11\n12\n"},
		{Args: "tail -c 4 -", Stdin: twelve, Stdout: "\n12\n"},
		{Args: "tail -c +26 -", Stdin: twelve, Stdout: "2\n"},
		{Args: "tail -n 1 /streamfs/s", Stdout: "c\n"},
		{Args: "tail -n +2 /streamfs/s", Stdout: "b\nc\n"},
		{Args: "tail -c 3 /streamfs/s", Stdout: "\nc\n"},
		{Args: "tail -c 2 /info/version", Stdout: "\n"},
		{Args: "tail -n x /memfs/f", Code: 2, Stderr: "pfs: -n x is not a number such as 10 or +10\nhint: see: pfs tail --help\n"},
		{Args: "tail /memfs", Code: 1, Stderr: "pfs: read: /memfs: is a directory (is_directory)\n"},
		{Args: "tail /memfs/no", Code: 4, Stderr: "pfs: read: /memfs/no: not found (not_found)\n"},
		{Args: "tail -qn 1 /memfs/no /memfs/f", Code: 10, Stdout: "12\n", Stderr: "pfs: read: /memfs/no: not found (not_found)\npfs: 1 of 2 failed\n"},
	} {
		pfs.Do(t, s)
	}
}

// running is a command that runs until it is told to end.
type running struct {
	t    *testing.T
	mu   sync.Mutex
	out  bytes.Buffer
	err  bytes.Buffer
	stop context.CancelFunc
	done chan int
}

type lockedBuffer struct {
	r *running
	b *bytes.Buffer
}

func (l lockedBuffer) Write(b []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.b.Write(b)
}

// run starts a command.
func run(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stop: cancel, done: make(chan int, 1)}
	go func() {
		r.done <- pfs(ctx, args, strings.NewReader(""), lockedBuffer{r, &r.out}, lockedBuffer{r, &r.err})
	}()
	t.Cleanup(func() { r.end() })
	return r
}

// end ends it, as a Ctrl-C does, and returns its exit code.
func (r *running) end() int {
	r.stop()
	return r.code()
}

// code waits for its end.
func (r *running) code() int {
	select {
	case n := <-r.done:
		r.done <- n
		return n
	case <-time.After(time.Minute):
		r.t.Fatal("the command does not end")
		return 0
	}
}

func (r *running) text() (out, err string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String(), r.err.String()
}

// prints waits until stdout or stderr are so.
func (r *running) prints(out, err string) {
	r.t.Helper()
	var o, e string
	if !harness.Poll(30*time.Second, func() bool {
		o, e = r.text()
		return clitest.Like(out, o) && clitest.Like(err, e)
	}) {
		r.t.Fatalf("got %q %q\nwant %q %q", o, e, out, err)
	}
}

// held waits until so many requests wait at the server.
func held(t *testing.T, s *apitest.Server, n int) {
	t.Helper()
	if !harness.Poll(30*time.Second, func() bool {
		return strings.Contains(s.Do(t, "GET", "/metrics", "").Body, fmt.Sprintf("pfs_http_waiting_requests %d\n", n))
	}) {
		t.Fatalf("%d requests never waited", n)
	}
}

// A count before or behind the flag that follows.
func TestTailCountsAndFollows(t *testing.T) {
	serve(t)
	pfs.Must(t, "1\n2\n3\n", "put", "-", "/memfs/f")
	for _, args := range [][]string{{"-f", "-2"}, {"-F", "-2"}, {"-2f"}, {"-2", "-f"}} {
		r := run(t, append(append([]string{"tail"}, args...), "/memfs/f")...)
		r.prints("2\n3\n", "")
		r.end()
	}
}

func TestTailFollows(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "one\ntwo\n", "put", "-", "/memfs/f")
	r := run(t, "tail", "-n", "1", "-f", "/memfs/f")
	r.prints("two\n", "")
	held(t, s, 1)
	for i, text := range []string{"three\n", "fo", "ur\n"} {
		pfs.Must(t, text, "put", "--append", "-", "/memfs/f")
		r.prints("two\n"+"three\nfour\n"[:[]int{6, 8, 11}[i]], "")
	}
	held(t, s, 1)
	pfs.Must(t, "cut\n", "put", "-", "/memfs/f")
	r.prints("two\nthree\nfour\ncut\n", "pfs: tail /memfs/f: the file was cut; following from its start\n")
	pfs.Must(t, "more\n", "put", "--append", "-", "/memfs/f")
	r.prints("two\nthree\nfour\ncut\nmore\n", "…\n")
	held(t, s, 1)
	pfs.Must(t, "", "rm", "/memfs/f")
	r.prints("two\nthree\nfour\ncut\nmore\n", "…\npfs: read: /memfs/f: not found (not_found)\n")
	if code := r.code(); code != 4 {
		t.Errorf("exit code %d", code)
	}
}

// -F follows a name through the absence of a file and through its successors.
func TestTailFollowsTheName(t *testing.T) {
	s := serve(t)
	r := run(t, "tail", "-F", "/memfs/log")
	r.prints("", "pfs: read: /memfs/log: not found (not_found); waiting for it\n")
	held(t, s, 1)
	pfs.Must(t, "first\n", "put", "-", "/memfs/log")
	r.prints("first\n", "…\npfs: tail /memfs/log: the file has appeared\n")
	held(t, s, 1)
	pfs.Must(t, "a longer text\n", "put", "-", "/memfs/new")
	pfs.Must(t, "", "mv", "/memfs/new", "/memfs/log")
	r.prints("first\na longer text\n", "…\n…\npfs: tail /memfs/log: another file has its name; following that\n")
	held(t, s, 1)
	pfs.Must(t, "", "rm", "/memfs/log")
	r.prints("first\na longer text\n", "…\n…\n…\npfs: tail /memfs/log: the file is gone; waiting for another\n")
	pfs.Must(t, "last\n", "put", "-", "/memfs/log")
	r.prints("first\na longer text\nlast\n", "…\n…\n…\n…\npfs: tail /memfs/log: the file has appeared\n")
	if code := r.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// Several files at once, one of them a stream.
func TestTailFollowsSeveral(t *testing.T) {
	s := serve(t)
	pfs.Must(t, "a\n", "put", "-", "/memfs/f")
	pfs.Must(t, "s\n", "put", "--append", "-", "/streamfs/s")
	r := run(t, "tail", "-f", "/memfs/f", "/streamfs/s")
	r.prints("==> /memfs/f <==\na\n\n==> /streamfs/s <==\ns\n", "")
	pfs.Must(t, "t\n", "put", "--append", "-", "/streamfs/s")
	r.prints("==> /memfs/f <==\na\n\n==> /streamfs/s <==\ns\nt\n", "")
	held(t, s, 1)
	pfs.Must(t, "b\n", "put", "--append", "-", "/memfs/f")
	r.prints("==> /memfs/f <==\na\n\n==> /streamfs/s <==\ns\nt\n\n==> /memfs/f <==\nb\n", "")
	if code := r.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}
