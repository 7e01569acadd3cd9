package main

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// What another makes between the look of cp -n or mv -n and its write stays.
func TestNoClobberAgainstAnother(t *testing.T) {
	s := clitest.Start(t)
	local(t, map[string]string{"f": "mine", "d/f": "mine", "other": "theirs"})
	var at string
	proxy := between(t, s.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/files") && r.URL.Query().Get("path") == at {
			pfs(t, "", "--url", s.URL, "put", "other", at)
		}
		return false
	})
	clitest.TalkTo(t, proxy)
	for path, args := range map[string][]string{
		"/memfs/a":   {"cp", "-n", "local:f", "/memfs/a"},
		"/memfs/b/f": {"cp", "-n", "-r", "local:d", "/memfs/b"},
		"/memfs/c":   {"mv", "-n", "local:f", "/memfs/c"},
		"/memfs/e":   {"cp", "-n", "-", "/memfs/e"},
	} {
		at = path
		if r := pfs(t, "mine", args...); r.Code != 0 || strings.HasPrefix(args[0], "cp") && r.Stderr != "0 files, 0 bytes, 1 unchanged\n" {
			t.Errorf("%v: %d %q", args, r.Code, r.Stderr)
		}
		if got := must(t, "", "cat", path); got != "theirs" {
			t.Errorf("%v replaced it by %q", args, got)
		}
	}
	if _, err := os.Stat("f"); err != nil {
		t.Errorf("what was not moved is gone: %v", err)
	}
	at = ""
	must(t, "", "write", "/memfs/g", "mine")
	must(t, "", "--url", s.URL, "rm", "/memfs/a")
	steps(t, []step{
		{"cp -q -n local:f /memfs/a", "", 0, "", ""},
		{"cat /memfs/a", "", 0, "mine", ""},
		{"cp -q -n pfs:/memfs/g local:g", "", 0, "", ""},
	})
	if b, err := os.ReadFile("g"); string(b) != "mine" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// A link that is not moved, since another has made something in its place, stays here.
func TestNoClobberOfLinks(t *testing.T) {
	s := clitest.Start(t)
	local(t, map[string]string{"f": "mine", "d/f": "mine"})
	if err := errors.Join(os.Symlink("f", "l"), os.Symlink("f", "d/l")); err != nil {
		t.Fatal(err)
	}
	clitest.TalkTo(t, between(t, s.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/symlink"):
			pfs(t, "", "--url", s.URL, "ln", "-s", "theirs", "/memfs/d/l")
		case r.Method == http.MethodPut && r.URL.Query().Get("path") == "/memfs/l":
			pfs(t, "", "--url", s.URL, "write", "/memfs/l", "theirs")
		}
		return false
	}))
	steps(t, []step{
		{"mv -n local:l /memfs/l", "", cli.ExitPartial, "", "pfs: l: something came to the destination while it was copied; it stays where it was\n"},
		{"cat /memfs/l", "", 0, "theirs", ""},
		{"mv -n local:d /memfs/d", "", cli.ExitPartial, "", "pfs: …; it stays where it was\npfs: 1 of 2 failed\n"},
		{"readlink /memfs/d/l", "", 0, "theirs\n", ""},
	})
	for _, l := range []string{"l", "d/l"} {
		if to, err := os.Readlink(l); to != "f" || err != nil {
			t.Errorf("%s leads to %q, %v", l, to, err)
		}
	}
}

// Where a server knows no conditions, what is not there when it is looked at is copied.
func TestNoClobberWithoutConditions(t *testing.T) {
	s := clitest.Start(t)
	local(t, map[string]string{"f": "mine"})
	clitest.TalkTo(t, between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = w.Write([]byte(`{"error":"the server knows no conditions","code":"unsupported"}`))
		return true
	}))
	steps(t, []step{
		{"cp -n local:f /memfs/a", "", 0, "", "1 files, 4 bytes\n"},
		{"write /memfs/a theirs", "", 0, "", ""},
		{"cp -n local:f /memfs/a", "", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"cat /memfs/a", "", 0, "theirs", ""},
		{"cp -n - /memfs/s", "mine", 0, "", "1 files, 4 bytes\n"},
		{"cp -n - /memfs/s", "other", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"cat /memfs/s", "", 0, "mine", ""},
		{"cp -n - /memfs/k", strings.Repeat("x", 32<<10), 0, "", "1 files, 32768 bytes\n"},
		{"cp -n - /memfs/l", strings.Repeat("x", 32<<10+1), 1, "", "pfs: …unsupported…\nhint: …; copy a file, or leave out -n\n"},
	})
}

// What cannot be looked at is not taken for what is not there.
func TestMoveToWhatCannotBeSeen(t *testing.T) {
	s := clitest.Start(t)
	must(t, "", "mkdir", "/memfs/d")
	must(t, "", "write", "/memfs/a", "mine")
	must(t, "", "write", "/memfs/d/a", "theirs")
	var at string
	clitest.TalkTo(t, between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/stat") || r.URL.Query().Get("path") != at {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"permission denied","code":"permission_denied"}`))
		return true
	}))
	for _, at = range []string{"/memfs/d/a", "/memfs/d", "/memfs/d/"} {
		for _, how := range []string{"-n", "-i"} {
			if r := pfs(t, "", "mv", how, "/memfs/a", at); r.Code != cli.ExitPermission {
				t.Errorf("mv %s to %s: %d %q", how, at, r.Code, r.Stderr)
			}
		}
	}
	at = "/memfs/d/a"
	if r := pfs(t, "", "mv", "-n", "/memfs/a", "/memfs/d"); r.Code != cli.ExitPermission {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	at = ""
	if got := must(t, "", "cat", "/memfs/a", "/memfs/d/a"); got != "minetheirs" {
		t.Errorf("there is %q", got)
	}
}
