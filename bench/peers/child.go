package peers

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/pfs-project/pfs/loopback"
)

// Site is where servers run.
type Site struct {
	Dir     string // data of all of them, so all are on one disk
	Clients int    // the most clients that a load will have
	Self    string // this program: it serves too, see Serve
	PFS     string // the pfs-server program
}

// How long a server has to serve, and to end.
const (
	toServe = time.Minute
	toEnd   = 20 * time.Second
)

// child is one process of ours.
type child struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{} // closed when it has ended
}

// start runs a program in the folder dir, which it makes, with its output in a
// file there. When ctx ends it is killed.
func start(ctx context.Context, dir, program string, args ...string) (*child, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := &child{name: filepath.Base(program), log: filepath.Join(dir, "log"), done: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.CommandContext(ctx, program, args...)
	c.cmd.Cancel = func() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) } // with what it started
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	begun := make(chan error)
	go func() {
		// The signal of a parent's death comes from the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		err := c.cmd.Start()
		begun <- err
		if err == nil {
			_ = c.cmd.Wait() // how it ended is in ProcessState
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("%s: %w (make bench-peers installs it)", c.name, err)
	}
	return c, nil
}

// ready asks until probe has no error.
func (c *child) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, toServe)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended (%s): %s", c.name, c.cmd.ProcessState, c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w: %s", c.name, err, c.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// accepts is nil once connections are taken at addr.
func accepts(addr string) func(context.Context) error {
	return func(context.Context) error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// tail is the end of what the process said.
func (c *child) tail() string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-600):]))
}

// stop ends the process and waits until it has ended.
func (c *child) stop() error { return c.stopWithin(toEnd) }

func (c *child) stopWithin(d time.Duration) error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-c.done:
		return nil
	case <-time.After(d):
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // with what it started
	<-c.done
	return fmt.Errorf("%s did not end when it was told to", c.name)
}

// children are processes that make one target.
type children []*child

func (cs children) stop() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.stop())
	}
	return errors.Join(errs...)
}

// groups are the process groups of all.
func (cs children) groups() (ids []int) {
	for _, c := range cs {
		ids = append(ids, c.cmd.Process.Pid) // each leads its own
	}
	return ids
}

// hold returns n addresses on loopback that nobody listens on, and what gives
// them back.
func hold(n int) (addrs []string, free func(), err error) {
	var frees []func()
	free = func() {
		for _, f := range frees {
			f()
		}
	}
	for range n {
		a, f, err := loopback.Hold()
		if err != nil {
			free()
			return nil, nil, err
		}
		addrs, frees = append(addrs, a), append(frees, f)
	}
	return addrs, free, nil
}

// version is the first line that a program prints about itself which has the
// word in it, from there on.
func version(ctx context.Context, word, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w (make bench-peers installs it)", program, err)
	}
	for line := range strings.Lines(string(out)) {
		if _, after, ok := strings.Cut(line, word); ok && len(strings.Fields(after)) > 0 {
			return strings.Fields(after)[0], nil
		}
	}
	return "", fmt.Errorf("%s tells no version: %.200s", program, out)
}

// built is the version of the module that a program in PATH was installed from.
func built(program string) (string, error) {
	file, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s: %w (make bench-peers installs it)", program, err)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return "", err
	}
	return info.Main.Version, nil
}
