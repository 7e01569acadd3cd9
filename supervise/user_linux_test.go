package supervise

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root reports whether the server would give programs users.
func root(t *testing.T) bool {
	if os.Getuid() == 0 {
		return true
	}
	t.Log("only root gives programs users")
	return false
}

// What has left the group of a program ends with it where the machine has neither
// process ids of its own nor control groups for it.
func TestChildUserEnds(t *testing.T) {
	if !root(t) {
		return
	}
	c, err := Start(Command{
		Code: []byte("#!/bin/sh\nsetsid sh -c 'echo up; exec sleep 1000' & read line\n"), Processes: true, Log: slog.New(slog.DiscardHandler),
		without: []string{ownIDs}, groups: "/nowhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer end(c, 0)
	if !slices.Contains(c.Lacks(), ownIDs) || slices.Contains(c.Lacks(), ownUser) {
		t.Fatalf("it lacks %q", c.Lacks())
	}
	if line, err := bufio.NewReader(c.Out).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	soon(t, "both are there", func() bool { return len(processesOf(c.user)) == 2 })
	end(c, 0)
	if left := processesOf(c.user); len(left) > 0 {
		t.Errorf("%v outlive it", left)
	}
}

// A program that outlives its server, which it can ask the kernel for, ends when the
// next one starts.
func TestSweepEndsPrograms(t *testing.T) {
	if !root(t) {
		return
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	free := func(user uint32) uint32 { // other tests may have given it to a program
		for len(processesOf(user)) > 0 {
			user--
		}
		return user
	}
	user := free(firstUser + users - 1)
	other := free(user - 1)
	sleeps := func(user uint32) chan error {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return over
	}
	outlives, lives := sleeps(user), sleeps(other)
	left := fmt.Sprintf("%s/%s%d-0-%d", dir, dirLead, gone.Process.Pid, user)
	fake := fmt.Sprintf("%s/%s%d-0-%d", dir, dirLead, gone.Process.Pid, other)
	for name, owner := range map[string]int{left: int(user), fake: 12345} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, owner, -1); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir, "pfs-")
	select {
	case err := <-outlives:
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("it still runs")
	}
	select {
	case err := <-lives:
		t.Errorf("what another user has made ends a program: %v", err)
	default:
	}
}

// Who may write to TMPDIR cannot keep programs from being started.
func TestNamesAreNotTaken(t *testing.T) {
	if !root(t) {
		return
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for user := firstUser; user < firstUser+users; user++ {
		name := filepath.Join(dir, fmt.Sprintf("%sx-%d", dirLead, user))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	own, user, err := ownDir()
	if err != nil {
		t.Fatal(err)
	}
	if !taken(user) {
		t.Errorf("%s is not seen", own)
	}
	if err := os.Chown(own, int(user), -1); err != nil {
		t.Fatal(err)
	}
	if !taken(user) {
		t.Errorf("%s is not seen once it is the user's", own)
	}
}
