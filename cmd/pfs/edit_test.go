package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// The time limit is not the editor's, and what an editor that ended badly has left
// is kept.
func TestEditorsAreGivenTime(t *testing.T) {
	clitest.Start(t)
	local(t, nil)
	t.Setenv("EDITOR", "./editor")
	t.Setenv("VISUAL", "")
	t.Setenv("TMPDIR", t.TempDir())
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile("editor", []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	left := func() []string {
		t.Helper()
		found, err := filepath.Glob(os.Getenv("TMPDIR") + "/pfs-edit-*/.*.swp")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	script("sleep 7; echo new >$1")
	steps(t, []step{
		{"--timeout 6s edit /memfs/f", "", 0, "", ""},
		{"cat /memfs/f", "", 0, "new\n", ""},
	})
	script("echo half >${1%/*}/.f.swp; exit 1")
	steps(t, []step{{"edit /memfs/f", "", 1, "", "your text is kept in …/f\npfs: editor ./editor: exit status 1; nothing was saved\n"}})
	if n := len(left()); n != 1 {
		t.Fatalf("%d files left", n)
	}
	// pfs is told to end while the editor is open.
	script("trap 'echo half >${1%/*}/.f.swp; exit 1' TERM; : >open; while :; do sleep 0.05; done")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told strings.Builder
	done := make(chan int)
	go func() { done <- run(ctx, []string{"edit", "/memfs/f"}, strings.NewReader(""), io.Discard, &told) }()
	for {
		if _, err := os.Stat("open"); err == nil {
			break
		}
	}
	cancel()
	if code := <-done; code != cli.ExitInterrupted || !clitest.Like("your text is kept in …/f\n", told.String()) || len(left()) != 2 {
		t.Errorf("%d %q, left %v", code, told.String(), left())
	}
}

// Ctrl-C is the editor's while that runs, in a shell as well; SIGTERM ends pfs.
func TestEditorsAnswerInterrupts(t *testing.T) {
	clitest.Start(t)
	local(t, nil)
	t.Setenv("EDITOR", "./editor")
	t.Setenv("VISUAL", "")
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.WriteFile("editor", []byte("#!/bin/sh\n: >open; while [ ! -e go ]; do sleep 0.05; done; echo new >$1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(heard)
	for n, c := range []struct {
		sig  syscall.Signal
		args []string
		code int
	}{
		{syscall.SIGINT, []string{"edit", "/memfs/f0"}, 0},
		{syscall.SIGINT, []string{"sh", "-c", "edit /memfs/f1"}, 0},
		{syscall.SIGTERM, []string{"edit", "/memfs/f2"}, cli.ExitInterrupted},
	} {
		ctx, stop := cli.Signalled(t.Context())
		var told strings.Builder
		done := make(chan int)
		go func() { done <- run(ctx, c.args, strings.NewReader(""), io.Discard, &told) }()
		for {
			if _, err := os.Stat("open"); err == nil {
				break
			}
		}
		if err := self.Signal(c.sig); err != nil {
			t.Fatal(err)
		}
		<-heard
		if c.code == 0 {
			time.Sleep(100 * time.Millisecond) // of what would end the editor
			if err := os.WriteFile("go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code := <-done; code != c.code {
			t.Errorf("%v by %v: exit code %d, %s", c.args, c.sig, code, told.String())
		}
		stop()
		if c.code == 0 {
			if got := must(t, "", "cat", fmt.Sprintf("/memfs/f%d", n)); got != "new\n" {
				t.Errorf("%v: it holds %q", c.args, got)
			}
		}
		if err := errors.Join(os.RemoveAll("open"), os.RemoveAll("go")); err != nil {
			t.Fatal(err)
		}
	}
}
