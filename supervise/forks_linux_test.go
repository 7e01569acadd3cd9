package supervise

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// compiled returns a program of testdata.
func compiled(t *testing.T, source string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("cc", append(flags, "-O1", "-pthread", "-o", out, filepath.Join("testdata", source))...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// A program that may not start processes cannot, in whatever way it tries; threads it
// can. One that may is told nothing of that.
func TestChildStartsNone(t *testing.T) {
	code := compiled(t, "starts.c")
	ways := []string{"libc", "vfork", "clone", "clone3", "thread"}
	if runtime.GOARCH == "amd64" {
		ways = append(ways, "fork", "x32", "fork of 32 bits", "clone of 32 bits")
	}
	says := func(way string, may bool) (string, *Child) {
		c, err := Start(Command{Code: code, Args: []string{way}, Processes: may, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer end(c, 0)
		return strings.TrimSpace(output(t, c)), c
	}
	for _, way := range ways {
		free, _ := says(way, true)
		if free != "started" {
			if !strings.Contains(way, "32") {
				t.Errorf("%s: %s, where nothing forbids it", way, free)
			}
			t.Logf("%s: this machine does not have it: %s", way, free)
			continue
		}
		got, c := says(way, false)
		want := unix.EPERM.Error()
		switch way {
		case "thread":
			want = "started"
		case "clone3":
			want = unix.ENOSYS.Error()
		}
		if slices.Contains(c.Lacks(), noProcesses) {
			if t.Logf("%s: this machine does not let us forbid it", way); runtime.GOARCH == "amd64" && len(c.Lacks()) == 1 {
				t.Error("it forbids nothing, and lets us do all else")
			}
		} else if !strings.EqualFold(got, want) { // C begins with a capital

			t.Errorf("%s: %q, expected %q; %s", way, got, want, c.Report())
		}
	}
}

// What a program cannot be forbidden is told, and it runs.
func TestChildStartsSome(t *testing.T) {
	c, err := Start(Command{Code: []byte("#!/bin/sh\n/bin/true && echo done\n"), Log: slog.New(slog.DiscardHandler), without: []string{noProcesses}})
	if err != nil {
		t.Fatal(err)
	}
	defer end(c, 0)
	if got := output(t, c); got != "done\n" || !slices.Contains(c.Lacks(), noProcesses) {
		t.Errorf("%q; it lacks %q", got, c.Lacks())
	}
}
