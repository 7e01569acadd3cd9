package wasmhost

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// IsProgram reports whether a module is a program to be spoken to through pipes:
// it has a beginning, and none of the functions of a file system.
func IsProgram(module []byte) bool {
	starts := false
	for rest := module[min(8, len(module)):]; len(rest) > 1; {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || n > 5 || size > uint64(len(rest)-1-n) {
			return false
		}
		id, body := rest[0], rest[1+n:1+n+int(size)]
		rest = rest[1+n+int(size):]
		if id != exportSection {
			continue
		}
		r := &reader{b: body}
		for range r.num() {
			length := r.num()
			if r.bad || length > uint64(len(r.b)) {
				return false
			}
			name := string(r.b[:length])
			r.b = r.b[length:]
			kind := r.byte()
			r.num()
			if strings.HasPrefix(name, "fs_") {
				return false
			}
			starts = starts || kind == 0 && name == "_start"
		}
	}
	return starts
}

// killWait is how long the end of a killed program is waited for.
const killWait = 10 * time.Second

// command is a module that runs as a program: with its pipes, and nothing else.
type command struct {
	p        *program
	in, out  net.Conn // our ends
	theirs   [2]net.Conn
	said     *supervise.Tail
	kill     context.CancelFunc
	done     chan struct{}
	how      string // it has ended, before done is closed
	clean    sync.Once
	patience time.Duration // with its end, once it is killed
	mine     bool          // it has a turn
	pace     pace
	busy     *time.Timer // kills it if it computes for too long without a pause
}

var _ supervise.Process = (*command)(nil)

// Run starts a module that is a program, with so many bytes of memory. Its
// standard error goes to the log. Invalid says what keeps it from being run.
func (h *Host) Run(ctx context.Context, code []byte, memory int64, log *slog.Logger) (supervise.Process, error) {
	if !IsProgram(code) {
		return nil, vfs.Invalid.With("the module is no program: it has no _start")
	}
	p, err := h.compile(ctx, code, vfs.Limits{Memory: memory}, guestEnv{log: log})
	if err != nil {
		return nil, err
	}
	p.turns = halfOf(h.programs)
	if err := p.link(ctx); err != nil {
		p.close()
		return nil, err
	}
	c := &command{p: p, said: supervise.NewTail(log), done: make(chan struct{}), patience: killWait}
	c.theirs[0], c.in = net.Pipe()
	c.out, c.theirs[1] = net.Pipe()
	life, kill := context.WithCancel(context.Background()) // of the program, not of its start
	c.kill = kill
	go c.run(life)
	return c, nil
}

// mostBusy is how long a program may compute without a pause: longer than any call
// may take.
const mostBusy = mostCall + 2*time.Second

// outside runs what waits for others.
func (c *command) outside(life context.Context, do func()) {
	c.busy.Stop()
	c.pace.rest(func() { c.p.turns.outside(&c.mine, life.Done(), do) })
	c.busy.Reset(mostBusy)
}

// pausing is the module's end of a pipe: it does not compute while it waits there.
type pausing struct {
	c    *command
	life context.Context
	end  net.Conn
}

func (p pausing) Read(b []byte) (n int, err error) {
	p.c.outside(p.life, func() { n, err = p.end.Read(b) })
	return n, err
}

func (p pausing) Write(b []byte) (n int, err error) {
	p.c.outside(p.life, func() { n, err = p.end.Write(b) })
	return n, err
}

// run runs the module to its end.
func (c *command) run(life context.Context) {
	c.mine = c.p.turns.take(life.Done()) == nil
	c.busy = time.AfterFunc(mostBusy, func() {
		c.Say("it has computed for too long without a pause")
		c.Kill()
	})
	sleep := func(ns int64) {
		c.outside(life, func() {
			t := time.NewTimer(time.Duration(ns))
			defer t.Stop()
			select {
			case <-t.C:
			case <-life.Done():
			}
		})
	}
	config := wazero.NewModuleConfig().WithName("").WithArgs("plugin").
		WithStdin(pausing{c, life, c.theirs[0]}).WithStdout(pausing{c, life, c.theirs[1]}).WithStderr(c.said).WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(sleep)
	c.pace.begin(time.Now())
	err := c.p.runProgram(context.WithValue(life, paceKey{}, &c.pace), config)
	var exit *sys.ExitError
	switch {
	case life.Err() != nil:
		c.how = "killed"
	case errors.As(err, &exit):
		c.how = fmt.Sprintf("exit status %d", exit.ExitCode())
	case err != nil:
		c.how = firstLine(err)
	default:
		c.how = "exit status 0"
	}
	c.busy.Stop()
	if c.mine {
		c.p.turns.give()
	}
	c.hangUp()
	close(c.done)
}

// runProgram runs a module that is a program to its end, or to that of ctx.
func (p *program) runProgram(ctx context.Context, config wazero.ModuleConfig) error {
	room, free := roomy(ctx)
	defer free()
	m, err := p.runtime.InstantiateModule(room, p.module, config.WithStartFunctions())
	if err != nil {
		return err
	}
	defer p.until(ctx, m)()
	for _, name := range []string{startExport, "_start"} {
		if f := m.ExportedFunction(name); f != nil && (p.starts || name != startExport) {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// hangUp closes both pipes: what waits on them goes on.
func (c *command) hangUp() {
	for _, end := range []net.Conn{c.theirs[0], c.theirs[1]} {
		_ = end.Close() // it is in memory
	}
}

// Pipes returns the ends of its standard input and output.
func (c *command) Pipes() (in, out supervise.Pipe) { return c.in, c.out }

// Done is closed once it has ended.
func (c *command) Done() <-chan struct{} { return c.done }

// Report says how it has ended.
func (c *command) Report() string { return c.said.Report(c.how) }

// Say logs a text as if it had printed it.
func (c *command) Say(text string) { _, _ = c.said.Write([]byte(text + "\n")) } // it never fails

// Kill ends it: what it waits for ends, and then its next loop or call.
func (c *command) Kill() {
	c.kill()
	c.hangUp()
}

// End lets it end by itself until ctx is over, then kills it, and frees its memory.
func (c *command) End(ctx context.Context) {
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	c.Kill()
	select {
	case <-c.done:
	case <-time.After(c.patience):
		go func() { // it holds what is to be freed
			<-c.done
			c.tidy()
		}()
		return
	}
	c.tidy()
}

// tidy frees the memory of a program that has ended.
func (c *command) tidy() {
	c.clean.Do(func() {
		_ = c.in.Close() // in memory, as above
		_ = c.out.Close()
		c.p.close()
	})
}
