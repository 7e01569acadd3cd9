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
	"strings"
	"time"

	"github.com/pfs-project/pfs/bench/child"
	"github.com/pfs-project/pfs/loopback"
)

// Site is where servers run.
type Site struct {
	Dir     string // data of all of them, so all are on one disk
	Clients int    // the most clients that a load will have
	Self    string // this program: it serves too, see Serve
	PFS     string // the pfs-server program
}

// toEnd is how long a server has to end.
const toEnd = 20 * time.Second

// start runs a program in the folder dir, which it makes, with its output in a
// file there. When ctx ends it is killed.
func start(ctx context.Context, dir, program string, args ...string) (*child.Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	c, err := child.Start(filepath.Base(program), cmd, filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("%w (make bench-peers installs it)", err)
	}
	return c, nil
}

// ready waits until probe has no error.
func ready(ctx context.Context, c *child.Process, probe func(context.Context) error) error {
	_, err := c.Ready(ctx, probe)
	return err
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

// children are processes that make one target.
type children []*child.Process

func (cs children) stop() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Stop(toEnd))
	}
	return errors.Join(errs...)
}

// groups are the process groups of all.
func (cs children) groups() (ids []int) {
	for _, c := range cs {
		ids = append(ids, c.Group())
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
