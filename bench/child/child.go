// Package child runs the servers of a measurement: each in a process group of its
// own, which ends with this process, with what it says in a file.
package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// toServe is how long a server has until it serves.
const toServe = 2 * time.Minute

// Process is a server that was started.
type Process struct {
	Began time.Time
	name  string // for errors
	log   string // file that has what it says
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
}

// Start starts cmd, which is called name in errors, and adds what it says to the file
// log. When the context of cmd ends it is killed, with all that it has started.
func Start(name string, cmd *exec.Cmd, log string) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &Process{Began: time.Now(), name: name, log: log, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = f, f
	apart(cmd)
	if cmd.Cancel != nil { // it has a context
		cmd.Cancel = p.kill
	}
	begun := make(chan error)
	go func() {
		// The signal of a parent's death comes from the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		begun <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in ProcessState
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Ready asks until probe has no error, and tells how long that took from the start.
func (p *Process) Ready(ctx context.Context, probe func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, toServe)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return time.Since(p.Began), nil
		}
		select {
		case <-p.done:
			return 0, fmt.Errorf("%s ended (%s): %w\n%s", p.name, p.cmd.ProcessState, err, p.Tail())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s does not serve: %w\n%s", p.name, errors.Join(ctx.Err(), err), p.Tail())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Tail is the end of what it has said.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-1000):]))
}

// Group is its process group.
func (p *Process) Group() int { return p.cmd.Process.Pid }

// Stop asks it to end, and kills it if it has not after a time, which is an error.
func (p *Process) Stop(within time.Duration) error {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil { // it has ended, or this system has no such signal
		p.Kill()
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(within):
	}
	p.Kill()
	return fmt.Errorf("%s did not end when it was told to", p.name)
}

// Kill ends it, with what it has started.
func (p *Process) Kill() {
	_ = p.kill() // it may be gone already
	<-p.done
}
