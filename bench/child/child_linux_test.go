package child

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, ctx context.Context, script string) *Process {
	t.Helper()
	p, err := Start("the shell", exec.CommandContext(ctx, "sh", "-c", script), filepath.Join(t.TempDir(), "new", "log"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says is a probe for a text in what a process says.
func says(p *Process, text string) func(context.Context) error {
	return func(context.Context) error {
		if !strings.Contains(p.Tail(), text) {
			return errors.New("not yet")
		}
		return nil
	}
}

func gone(p *Process) bool { return errors.Is(syscall.Kill(-p.Group(), 0), syscall.ESRCH) }

// A server that ends at once is told of with its last words.
func TestEndsAtOnce(t *testing.T) {
	p := shell(t, t.Context(), "echo last words; exit 3")
	_, err := p.Ready(t.Context(), func(context.Context) error { return errors.New("refused") })
	for _, want := range []string{"the shell", "exit status 3", "refused", "last words"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := Start("nothing", exec.Command("no-such-program"), filepath.Join(t.TempDir(), "log")); err == nil {
		t.Error("a program that is not there was started")
	}
}

// One that does not listen ends all the same, with what it has started.
func TestDeaf(t *testing.T) {
	p := shell(t, t.Context(), "trap '' TERM; sleep 1000 & echo deaf; while :; do sleep 1; done")
	if took, err := p.Ready(t.Context(), says(p, "deaf")); err != nil || took <= 0 {
		t.Fatal(took, err)
	}
	if err := p.Stop(100 * time.Millisecond); err == nil {
		t.Error("it did end when it was told to")
	}
	for end := time.Now().Add(20 * time.Second); !gone(p); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it runs still")
		}
	}
}

// The end of the context is the end of the server, and of those who wait for it.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := shell(t, ctx, "echo up; sleep 1000 & wait")
	if _, err := p.Ready(t.Context(), says(p, "up")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := p.Ready(ctx, says(p, "never")); err == nil {
		t.Error("it serves")
	}
	<-p.done
}
