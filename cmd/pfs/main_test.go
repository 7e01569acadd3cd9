package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/vfs"
)

// pfs runs the program.
func pfs(t *testing.T, stdin string, args ...string) clitest.Ran {
	t.Helper()
	return clitest.Program(run).Run(t, stdin, args...)
}

// must is pfs where success is expected; it returns stdout.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return clitest.Program(run).Must(t, stdin, args...)
}

// step is a command line, and what is to come of it.
type step clitest.Step

// steps runs one after the other.
func steps(t *testing.T, all []step) {
	t.Helper()
	for _, s := range all {
		clitest.Program(run).Do(t, clitest.Step(s))
	}
}

func TestVerbs(t *testing.T) {
	clitest.Start(t)
	steps(t, []step{
		{"ls", "", 0, "dev/\nkvfs/\nmemfs/\nqueuefs/\n", ""},
		{"mkdir /memfs/d /memfs/e", "", 0, "", ""},
		{"mkdir -p /memfs/d/x/y /memfs/d /memfs", "", 0, "", ""},
		{"put - /memfs/d/f", "hello\n", 0, "", ""},
		{"cat /memfs/d/f", "", 0, "hello\n", ""},
		{"cat pfs:/memfs/d/f memfs/d/../d/f", "", 0, "hello\nhello\n", ""},
		{"put --append - /memfs/d/f", "more", 0, "", ""},
		{"get /memfs/d/f -", "", 0, "hello\nmore", ""},
		{"ls /memfs/d", "", 0, "f\nx/\n", ""},
		{"ls -1 /memfs/d/f", "", 0, "/memfs/d/f\n", ""},
		{"ls /memfs/d /memfs/d/f /memfs/e", "", 0, "/memfs/d/f\n\n/memfs/d:\nf\nx/\n\n/memfs/e:\n", ""},
		{"ls -l /memfs/d", "", 0, "  -rw-r--r--  10  20…-…-… …:… f\n  drwxr-xr-x   0  20…-…-… …:… x/\n", ""},
		{"ls -rl /memfs/d", "", 0, "  drwxr-xr-x   0 …x/\n  -rw-r--r--  10  …f\n", ""},
		{"ls -t /memfs/d", "", 0, "f\nx/\n", ""},
		{"ls -S /memfs/d", "", 0, "f\nx/\n", ""},
		{"put - /memfs/d/.hidden", strings.Repeat("x", 2000), 0, "", ""},
		{"ls /memfs/d", "", 0, "f\nx/\n", ""},
		{"ls -a /memfs/d", "", 0, ".hidden\nf\nx/\n", ""},
		{"ls -lh /memfs/d/.hidden", "", 0, "  -rw-r--r--  2.0K  …/memfs/d/.hidden\n", ""},
		{"stat /memfs/d/f", "", 0, "  File: /memfs/d/f\n  Size: 10\n  Mode: -rw-r--r-- (0644)\nModify: 20…Z\n  Type: memfs file\n  ETag: \"…\"\n", ""},
		{"mv /memfs/d/f /memfs/d/g", "", 0, "", ""},
		{"mv /memfs/d/g /memfs/d/x /memfs/e", "", 0, "", ""},
		{"ls /memfs/e", "", 0, "g\nx/\n", ""},
		{"cp /memfs/e/g /memfs/copy", "", 0, "", "1 files, 10 bytes\n"},
		{"cp -q /memfs/copy /memfs/d", "", 0, "", ""},
		{"cp - pfs:/memfs/piped", "from stdin", 0, "", "1 files, 10 bytes\n"},
		{"cp -q pfs:/memfs/piped -", "", 0, "from stdin", ""},
		{"rm /memfs/copy /memfs/d/copy", "", 0, "", ""},
		{"rm -r /memfs/e", "", 0, "", ""},
		{"rm -f /memfs/e", "", 0, "", ""},
		{"put - /dev/null", "gone", 0, "", ""},
		{"mount memfs /more init_dirs=[\"/a\"]", "", 0, "", ""},
		{"mounts", "", 0, "/dev      devfs    mounted\n/kvfs     kvfs     mounted\n/memfs    memfs    mounted\n/more     memfs    mounted\n/queuefs  queuefs  mounted\n", ""},
		{"ls /more", "", 0, "README\na/\n", ""},
		{"umount /more", "", 0, "", ""},
		{"mkdir -- -p", "", 7, "", "pfs: …permission…\n"},
		{"version", "", 0, "pfs version …\n", ""},
		{"--version", "", 0, "pfs version …\n", ""},
	})
}

// Every error has its exit code, one line of its own, and what helps.
func TestErrors(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "-p", "/memfs/d/sub")
	must(t, "x", "put", "-", "/memfs/f")
	long := strings.Repeat("n", 300)
	steps(t, []step{
		{"cat /memfs/none", "", 4, "", "pfs: read: /memfs/none: not found (not_found)\n"},
		{"ls /memfs/none", "", 4, "", "pfs: …/memfs/none: not found (not_found)\n"},
		{"cat /memfs", "", 1, "", "pfs: read: /memfs: is a directory (is_directory)\nhint: list it with: pfs ls /memfs\n"},
		{"mkdir /memfs/d", "", 6, "", "pfs: directory already exists: /memfs/d (exists)\n"},
		{"mkdir -p /memfs/f", "", 6, "", "pfs: …already exists: /memfs/f (exists)\n"},
		{"mkdir /x", "", 7, "", "pfs: …permission denied…(permission)\n"},
		{"mkdir -m 999 /memfs/x", "", 2, "", "pfs: --mode 999 is not octal permissions such as 755\nhint: see: pfs mkdir --help\n"},
		{"rm /memfs/d", "", 6, "", "pfs: directory not empty: /memfs/d (not_empty)\nhint: remove it and all below it with: pfs rm -r /memfs/d\n"},
		{"rm /memfs/none", "", 4, "", "pfs: remove: /memfs/none: not found (not_found)\n"},
		{"rm /memfs/f /memfs/none", "", 10, "", "pfs: remove: /memfs/none: not found (not_found)\npfs: 1 of 2 failed\n"},
		{"rm /memfs/f /memfs/none", "", 4, "", "pfs: …/memfs/f…\npfs: …/memfs/none…\npfs: 2 of 2 failed\n"},
		{"put - /memfs/a/b/c", "x", 4, "", "pfs: write: /memfs/a/b/c: not found…\nhint: make its directory with: pfs mkdir -p /memfs/a/b\n"},
		{"put - /memfs/g", "x", 0, "", ""},
		{"put --if-absent - /memfs/g", "x", 6, "", "pfs: …(stale)\nhint: the current version is …\n"},
		{"put --if-match 1 - /memfs/g", "x", 6, "", "pfs: …(stale)\nhint: the current version is …\n"},
		{"put --if-match 1 --if-absent - /memfs/g", "x", 2, "", "pfs: --if-match and --if-absent exclude each other\nhint: see: pfs put --help\n"},
		{"put --idempotency-key k - /memfs/g", "x", 0, "", ""},
		{"put --idempotency-key k - /memfs/g", "x", 0, "", ""},
		{"put --idempotency-key k - /memfs/g", "y", 6, "", "pfs: …(key_reused)\n"},
		{"put /nowhere/at/all /memfs/g", "", 4, "", "pfs: stat /nowhere/at/all: no such file or directory\n"},
		{"put /dev/null /memfs/g", "", 2, "", "pfs: /dev/null is not a regular file; pipe it in with -\nhint: see: pfs put --help\n"},
		{"mv /memfs/none /memfs/x", "", 4, "", "pfs: rename: /memfs/none: not found (not_found)\n"},
		{"mv /memfs/g /memfs/d /memfs/none", "", 2, "", "pfs: /memfs/none is not a directory\npfs: /memfs/none is not a directory\npfs: 2 of 2 failed\n"},
		{"mv /memfs/g /queuefs/g", "", 7, "", "pfs: …\n"},
		{"mount nofs /n", "", 2, "", "pfs: unknown filesystem type: nofs (invalid)\nhint: see: pfs mount --help\n"},
		{"mount memfs /n junk", "", 2, "", "pfs: \"junk\" is not key=value\nhint: see: pfs mount --help\n"},
		{"mount memfs /n x=[", "", 2, "", "pfs: the value of x is not valid JSON\nhint: see: pfs mount --help\n"},
		{"mount memfs /memfs", "", 6, "", "pfs: mount already exists: /memfs (exists)\n"},
		{"unmount /none", "", 4, "", "pfs: no mount at path: /none…(not_found)\n"},
		{"stat /memfs/" + long, "", 2, "", "pfs: …name too long (invalid)\nhint: …\n"},
		{"cp /memfs/d local:x", "", 2, "", "pfs: /memfs/d is a directory; use -r\nhint: see: pfs cp --help\n"},
		{"cp -r /memfs/d /memfs/d/sub", "", 2, "", "pfs: /memfs/d cannot be copied to /memfs/d/sub/d: that is itself, or within it\nhint: see: pfs cp --help\n"},
		{"cp /memfs/g /memfs/g", "", 2, "", "pfs: /memfs/g cannot be copied to /memfs/g: that is itself, or within it\nhint: …\n"},
		{"cp local:a local:b", "", 2, "", "pfs: both sides are local; that is what cp is for\nhint: …\n"},
		{"cp -r /memfs/d -", "", 2, "", "pfs: /memfs/d is a directory; it does not fit into stdout\nhint: …\n"},
		{"cp -j 0 /memfs/g /memfs/h", "", 2, "", "pfs: --jobs 0 is not between 1 and 256\nhint: …\n"},
		{"sl", "", 2, "", "pfs: unknown command \"sl\" for \"pfs\"\nhint: did you mean: pfs ls\n"},
		{"mkdri /memfs/x", "", 2, "", "pfs: unknown command \"mkdri\" for \"pfs\"\nhint: did you mean: pfs mkdir\n"},
		{"delete /memfs/x", "", 2, "", "pfs: unknown command \"delete\" for \"pfs\"\nhint: did you mean: pfs rm\n"},
		{"frobnicate", "", 2, "", "pfs: unknown command \"frobnicate\" for \"pfs\"\nhint: see: pfs --help\n"},
		{"cluster sttus", "", 2, "", "pfs: unknown command \"sttus\" for \"pfs cluster\"\nhint: did you mean: pfs cluster status\n"},
		{"ls --frob", "", 2, "", "pfs: unknown flag: --frob\nhint: see: pfs ls --help\n"},
		{"cat --from 3 /memfs/d/f", "", 2, "", "pfs: --from is of streams: add --stream\nhint: see: pfs cat --help\n"},
		{"cat --stream --from -3 /memfs/d/f", "", 2, "", "pfs: --from is start, end, or an offset in bytes, not \"-3\"\nhint: see: pfs cat --help\n"},
		{"-o yaml ls", "", 2, "", "pfs: --output yaml is neither text nor json\nhint: …\n"},
		{"--url ftp://x ls", "", 2, "", "pfs: \"ftp://x\" is not the URL of a node, such as …\nhint: …\n"},
		{"--url , ls", "", 2, "", "pfs: --url names no node\nhint: …\n"},
		{"--timeout soon ls", "", 2, "", "pfs: invalid argument…\nhint: …\n"},
		{"--url http://127.0.0.1:1 ls", "", 5, "", "pfs: list /: no answer from http://127.0.0.1:1: …refused (unavailable)\nhint: nothing listens at http://127.0.0.1:1; start a server with: pfs server; or name one with --url\n"},
		{"server -frob", "", 2, "", "pfs-server: flag provided but not defined: -frob; -help lists the flags\n"},
	})
	if help := pfs(t, "", "server", "-help"); help.Code != 0 || !strings.Contains(help.Stderr, "-data-dir") {
		t.Errorf("pfs server -help: %d %q", help.Code, help.Stderr)
	}
}

// What a server in trouble answers becomes the exit code that scripts expect.
func TestTrouble(t *testing.T) {
	s := clitest.Start(t)
	s.Node.Refuse(func(vfs.Request) error { return vfs.NoSpace })
	steps(t, []step{{"put - /memfs/f", "x", 8, "", "pfs: no space left (no_space)\n"}})
	s.Node.Refuse(func(vfs.Request) error { return vfs.Unavailable.With("no leader") })
	for _, patience := range []string{"300ms", "5s", "60s"} { // a busy machine may not hear of it sooner
		r := pfs(t, "x", "--timeout", patience, "put", "-", "/memfs/f")
		if r.Code == cli.ExitTemporary && clitest.Like("pfs: …no leader…(unavailable)\n", r.Stderr) {
			break
		}
		if patience == "60s" || !strings.Contains(r.Stderr, "deadline exceeded") {
			t.Errorf("within %s: %+v", patience, r)
			break
		}
	}
	s.Node.Refuse(nil)
	s.Node.After(func(vfs.Request) error { return &vfs.Unknown{} })
	big := strings.Repeat("x", 32<<10+1) // cannot be sent again
	steps(t, []step{{"put - /memfs/f", big, 5, "", "pfs: …outcome unknown…\nhint: the change may or may not have been made; look, then repeat it\n"}})
}

func TestJSON(t *testing.T) {
	s := clitest.Start(t)
	must(t, "one", "put", "-", "/memfs/f")
	must(t, "", "mkdir", "/memfs/empty")
	local := t.TempDir() + "/f"
	for _, c := range []struct{ args, want string }{
		{"ls /memfs/empty", `[]`},
		{"ls /memfs/f", `[{"name":"/memfs/f","size":3,"mode":420,"modTime":"…","isDir":false,"meta":{"Name":"memfs","Type":"file","Content":null},"etag":"…"}]`},
		{"stat /memfs/empty", `{"name":"empty","size":0,"mode":493,"modTime":"…","isDir":true,"meta":…}`},
		{"put /dev/null /memfs/f", ``},
		{"put - /memfs/<&>", `{"etag":"…","index":…,"message":"Written 0 bytes"}`},
		{"put - /queuefs/q/enqueue", `{…"id":"…","index":…,"message":"Written 0 bytes","seq":1}`},
		{"get /memfs/f " + local, `{"bytes":3,"file":"` + local + `","path":"/memfs/f"}`},
		{"get /memfs/f -", `one`},
		{"cp /memfs/f /memfs/g", `{"bytes":3,"failed":0,"files":1}`},
		{"mounts", `[{"path":"/dev","pluginName":"devfs","status":"mounted"},…]`},
		{"version", `{"version":"…"}`},
		{"rm /memfs/g", ``},
		{"ls /memfs", `[{"name":"<&>"…]`},
	} {
		got := pfs(t, "", append([]string{"-o", "json"}, strings.Fields(c.args)...)...).Stdout
		if json.Valid([]byte(got)) {
			var b bytes.Buffer
			if err := json.Compact(&b, []byte(got)); err != nil {
				t.Fatal(err)
			}
			got = b.String()
		}
		if !clitest.Like(c.want, got) {
			t.Errorf("pfs -o json %s printed %s, want %s", c.args, got, c.want)
		}
	}
	t.Setenv("PFS_OUTPUT", "json")
	if got := must(t, "", "ls", "/memfs/empty"); got != "[]\n" {
		t.Errorf("PFS_OUTPUT=json ls printed %q", got)
	}
	t.Setenv("PFS_OUTPUT", "")
	t.Setenv("PFS_URL", "")
	t.Setenv("AGFS_API_URL", s.URL+"/api/v1")
	if got := must(t, "", "ls", "/"); !strings.Contains(got, "memfs/") {
		t.Errorf("AGFS_API_URL: ls printed %q", got)
	}
}

// Every verb has a help text, and no verb prints what steers a terminal.
func TestHelp(t *testing.T) {
	clitest.Start(t)
	a := &app{cli.New(nil, io.Discard, io.Discard)}
	for _, c := range a.root().Commands() {
		got := must(t, "", "help", c.Name())
		if len(got) < 40 || c.Short == "" || strings.Contains(got, "\x1b") {
			t.Errorf("help of %s: %q", c.Name(), got)
		}
	}
	if got := must(t, ""); !strings.Contains(got, "Available Commands") {
		t.Errorf("pfs alone prints %q", got)
	}
	if got := must(t, "", "help", "put"); !strings.Contains(got, "enqueue") {
		t.Error("the help of put does not tell of the newline")
	}
	if got := must(t, "", "help", "exit-codes"); !strings.Contains(got, "130") {
		t.Errorf("exit codes: %q", got)
	}
}

func TestEnqueue(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "-p", "/queuefs/jobs/urgent")
	for in, want := range map[string]string{"job\n": "job", "job": "job", "two\n\n": "two\n", "\n": "", "a\nb\n": "a\nb"} {
		must(t, in, "put", "-", "/queuefs/jobs/urgent/enqueue")
		var m struct{ Data string }
		if err := json.Unmarshal([]byte(must(t, "", "cat", "/queuefs/jobs/urgent/dequeue")), &m); err != nil || m.Data != want {
			t.Errorf("%q became %q, %v", in, m.Data, err)
		}
	}
	must(t, "job\n", "put", "-", "/memfs/enqueued")
	if got := must(t, "", "cat", "/memfs/enqueued"); got != "job\n" {
		t.Errorf("other files lose bytes: %q", got)
	}
	file := t.TempDir() + "/job"
	if err := os.WriteFile(file, []byte("file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "put", file, "/queuefs/jobs/enqueue")
	if got := must(t, "", "cat", "/queuefs/jobs/dequeue"); !strings.Contains(got, `"data":"file\n"`) {
		t.Errorf("a local file became %s", got)
	}
	long := strings.Repeat("line\n", 20000) // more than is read ahead
	must(t, long, "put", "-", "/memfs/enqueue")
	if got := must(t, "", "cat", "/memfs/enqueue"); got != strings.TrimSuffix(long, "\n") {
		t.Errorf("%d bytes of %d", len(got), len(long))
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputIsLost(t *testing.T) {
	clitest.Start(t)
	must(t, "x", "put", "-", "/memfs/f")
	for _, args := range []string{"ls", "ls -l /memfs", "cat /memfs/f", "stat /memfs/f", "-o json ls", "mounts", "version", "get /memfs/f -", "help exit-codes"} {
		var err bytes.Buffer
		code := run(t.Context(), strings.Fields(args), strings.NewReader(""), fullDisk{}, &err)
		if code != cli.ExitFailure || !clitest.Like("pfs: stdout: no space left on device\n", err.String()) {
			t.Errorf("pfs %s: %d %q", args, code, err.String())
		}
	}
}

// A server that does not answer is left when the user wants to, or in time.
func TestInterrupt(t *testing.T) {
	asked, release := make(chan struct{}, 16), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer srv.Close()
	defer close(release)
	clitest.TalkTo(t, srv.URL)
	stdin, never := io.Pipe()
	defer never.Close()
	for _, args := range []string{"ls", "cat --stream /s", "put - /f", "cp -r /a local:" + t.TempDir(), "rm /a /b"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		in := io.Reader(strings.NewReader("x"))
		if strings.HasPrefix(args, "put") {
			in = io.MultiReader(strings.NewReader(strings.Repeat("x", 2*32<<10)), stdin)
		}
		var out, err bytes.Buffer
		if code := run(ctx, strings.Fields(args), in, &out, &err); code != cli.ExitInterrupted || err.Len() > 0 {
			t.Errorf("pfs %s: %d %q", args, code, err.String())
		}
	}
	steps(t, []step{{"--timeout 1s ls", "", 5, "", "pfs: list /: no answer from …: context deadline exceeded…(timeout)\n"}})
}

// Control characters of a name cannot steer the terminal.
