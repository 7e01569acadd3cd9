package verbs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/cli/clitest"
)

// followers are the commands that follow a stream.
var followers = [...]string{"cat --stream", "stream cat", "tail -n +1 -f"}

// A follower prints each byte once over connections of which each breaks, and ends
// where the stream does.
func TestStreamFollowersGoOn(t *testing.T) {
	s := serve(t)
	for i, args := range followers {
		clitest.TalkTo(t, apitest.Cut(t, s.URL, 7))
		p := fmt.Sprint("/streamfs/s", i)
		pfs.Must(t, "line 0\n", "put", "--append", "-", p)
		r := run(t, append(strings.Fields(args), p)...)
		out, told := "", ""
		for n, next := range []string{"line 1\n", "line 2\n", "end"} {
			out += fmt.Sprintf("line %d\n", n)
			told += "pfs: read " + p + ": unexpected EOF; trying again\n"
			r.prints(out, told)
			pfs.Must(t, next, "put", "--append", "-", p)
		}
		r.prints(out+"end", told)
		pfs.Must(t, "", "rm", p)
		if code := r.code(); code != 0 {
			_, err := r.text()
			t.Errorf("pfs %s %s: exit code %d %q", args, p, code, err)
		}
	}
}

// What a follower has missed it tells, goes on behind it, and ends with exit code 5.
func TestStreamFollowersTellGaps(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(status int, text string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // the client may have left
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/stat"):
			say(200, `{"name":"s","size":2,"meta":{"type":"stream","content":{"oldest":"0"}}}`)
			return
		case r.URL.Query().Get("stream") != "true":
			say(400, `{"error":"use stream=true","code":"invalid"}`)
			return
		}
		switch asked.Add(1) {
		case 1:
			w.Header().Set("X-Pfs-Offset", "0")
			w.Header().Set("Content-Length", "9")
			say(200, "ab") // and it breaks off
		case 2, 3:
			say(416, `{"error":"e","code":"range","oldest":90}`)
		default:
			w.Header().Set("X-Pfs-Offset", "90")
			say(200, "cd")
		}
	}))
	defer srv.Close()
	clitest.TalkTo(t, srv.URL)
	for _, args := range followers {
		asked.Store(0)
		pfs.Do(t, clitest.Step{Args: args + " /s", Code: 5, Stdout: "abcd",
			Stderr: "pfs: read /s: unexpected EOF; trying again\npfs: /s: bytes 2 to 90 of the stream are not kept any more\npfs: /s: the stream did not come whole\n"})
	}
	pfs.Do(t, clitest.Step{Args: "cat --stream -n /s /s", Code: 0, Stdout: "     1\tcdcd"})
}

// Lines that are numbered come as the others do: at once.
func TestStreamNumbered(t *testing.T) {
	serve(t)
	pfs.Must(t, "one\n", "put", "--append", "-", "/streamfs/s")
	r := run(t, "cat", "-n", "--stream", "/streamfs/s")
	r.prints("     1\tone\n", "")
	pfs.Must(t, "two\n", "put", "--append", "-", "/streamfs/s")
	r.prints("     1\tone\n     2\ttwo\n", "")
	if code := r.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// A stream that has forgotten by the time it is asked for what it kept when it was looked
// at is shown from what it keeps.
func TestTailOfABusyStream(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(status int, text string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // the client may have left
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/stat"):
			say(200, `{"name":"s","size":92,"meta":{"type":"stream","content":{"oldest":"0"}}}`)
		case r.URL.Query().Get("stream") != "true":
			say(400, `{"error":"use stream=true","code":"invalid"}`)
		case r.URL.Query().Has("from"):
			say(416, `{"error":"e","code":"range","oldest":90}`)
		default:
			w.Header().Set("X-Pfs-Offset", "90")
			say(200, "a\nb\n")
		}
	}))
	defer srv.Close()
	clitest.TalkTo(t, srv.URL)
	for args, want := range map[string]string{"-n +1 -f": "a\nb\n", "-f": "a\nb\n", "-c 50 -f": "a\nb\n", "-n +1": "a\n", "-c +2": "a\n"} {
		pfs.Do(t, clitest.Step{Args: "tail " + args + " /s", Stdout: want})
	}
}

// What is forgotten while the end of a stream is read is told, and passed over.
func TestTailTellsGaps(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch from := r.URL.Query().Get("from"); {
		case strings.HasSuffix(r.URL.Path, "/stat"):
			_, _ = io.WriteString(w, `{"name":"s","size":9,"meta":{"type":"stream","content":{"oldest":"0"}}}`)
		case r.URL.Query().Get("stream") != "true":
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":"use stream=true","code":"invalid"}`)
		case from == "2":
			w.WriteHeader(416)
			_, _ = io.WriteString(w, `{"error":"e","code":"range","oldest":7}`)
		case from == "7":
			w.Header().Set("X-Pfs-Offset", "7")
			_, _ = io.WriteString(w, "cdef")
		default:
			w.Header().Set("X-Pfs-Offset", "0")
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "ab") // and it breaks off
		}
	}))
	defer srv.Close()
	clitest.TalkTo(t, srv.URL)
	for args, want := range map[string]string{"-n +1": "abcd", "-n +1 -f": "abcdef"} {
		pfs.Do(t, clitest.Step{Args: "tail " + args + " /s", Code: 5, Stdout: want,
			Stderr: "pfs: /s: bytes 2 to 7 of the stream are not kept any more\npfs: /s: the stream did not come whole\n"})
	}
}
