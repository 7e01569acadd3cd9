package verbs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pfs-project/pfs/client"
)

const (
	jobGrace  = 10 * time.Second // from being asked to end to being killed
	jobReason = 512              // bytes of the last line of stderr that are kept
)

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// run runs the command on a message, and returns why it failed: "" if it did not.
func (w *labour) run(ctx context.Context, m client.Message) string {
	// The thread that starts a program lives as long as that does: where the
	// kernel ends the program with its parent, it is this thread that it means.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	said := &lastLine{w: w.stderr}
	cmd := exec.CommandContext(ctx, w.argv[0], w.argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(m.Data), w.stdout, said
	cmd.Env = w.environ(m)
	cmd.WaitDelay = jobGrace
	apart(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return "" // something it left behind held its output
	case !errors.As(err, &exit):
		return w.unsaid(ctx, cmd, err)
	}
	reason := exit.String()
	if exit.Exited() {
		reason = "exit " + strconv.Itoa(exit.ExitCode())
	}
	if text := said.text(); text != "" {
		reason += ": " + text
	}
	return reason
}

// unsaid is the reason for an error that is not of the command itself. That it did not
// read all of its message is none.
func (w *labour) unsaid(ctx context.Context, cmd *exec.Cmd, err error) string {
	switch {
	case cmd.ProcessState == nil: // it did not start
	case ctx.Err() != nil && cmd.ProcessState.Success():
		return ""
	case ctx.Err() == nil:
		err = fmt.Errorf("its output is lost: %w", err)
		w.spoil(err)
	}
	return err.Error()
}

// shared is a writer for several commands at once.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes.
func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// lastLine passes text on, and remembers its last line.
type lastLine struct {
	w    io.Writer
	line []byte
	ends bool // the line came to its end
}

// Write passes b on.
func (l *lastLine) Write(b []byte) (int, error) {
	for part := range bytes.Lines(b) {
		if len(bytes.TrimSpace(part)) == 0 {
			l.ends = l.ends || len(l.line) > 0 && bytes.HasSuffix(part, []byte("\n"))
			continue
		}
		if l.ends {
			l.line = l.line[:0]
		}
		if n := jobReason - len(l.line); n > 0 {
			l.line = append(l.line, part[:min(n, len(part))]...)
		}
		l.ends = bytes.HasSuffix(part, []byte("\n"))
	}
	return l.w.Write(b)
}

func (l *lastLine) text() string { return strings.TrimSpace(strings.ToValidUTF8(string(l.line), "?")) }
