package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

// editor has edit run a command of sh on its file.
func editor(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile("editor", []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EDITOR", "./editor")
	t.Setenv("VISUAL", "")
	t.Setenv("TMPDIR", t.TempDir())
}

// What a link leads to is changed as a file is: only the version that was read.
func TestEditThroughALink(t *testing.T) {
	s := clitest.Start(t)
	local(t, nil)
	must(t, "", "write", "/memfs/f", "one")
	must(t, "", "ln", "-s", "f", "/memfs/l")
	editor(t, "echo two > $1")
	steps(t, []step{{"edit /memfs/l", "", 0, "", ""}, {"cat /memfs/f", "", 0, "two\n", ""}})
	editor(t, "echo three > $1")
	clitest.TalkTo(t, between(t, s.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			must(t, "", "--url", s.URL, "write", "/memfs/f", "theirs")
		}
		return false
	}))
	if r := pfs(t, "", "edit", "/memfs/l"); r.Code != 6 || !strings.Contains(r.Stderr, "+theirs") {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	steps(t, []step{{"cat /memfs/f", "", 0, "theirs", ""}})
}

// Where files have no versions what was read is compared with what is there.
func TestEditWithoutVersions(t *testing.T) {
	s := clitest.Start(t)
	local(t, nil)
	var reads atomic.Int32
	meddle := int32(0)
	clitest.TalkTo(t, between(t, s.URL, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/files") {
			return false
		}
		if reads.Add(1) == meddle {
			must(t, "", "--url", s.URL, "write", "/memfs/f", "theirs")
		}
		resp, err := http.Get(s.URL + r.URL.RequestURI())
		if err != nil {
			t.Error(err)
			return false
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode) // without what tells the version
		_, _ = io.Copy(w, resp.Body)   // the client may have left
		return true
	}))
	must(t, "", "write", "/memfs/f", "one")
	editor(t, "echo two > $1")
	steps(t, []step{{"edit /memfs/f", "", 0, "", ""}, {"cat /memfs/f", "", 0, "two\n", ""}, {"edit /memfs/new", "", 0, "", ""}, {"cat /memfs/new", "", 0, "two\n", ""}})
	reads.Store(0)
	meddle = 2 // before it is compared
	editor(t, "echo three > $1")
	if r := pfs(t, "", "edit", "/memfs/f"); r.Code != 6 || !strings.Contains(r.Stderr, "+theirs") || !strings.Contains(r.Stderr, "then: pfs put /") {
		t.Errorf("%d %q", r.Code, r.Stderr)
	}
	steps(t, []step{{"cat /memfs/f", "", 0, "theirs", ""}})
}
