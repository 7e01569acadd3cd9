package wasmhost

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// beginning is a module with one function, _start.
func beginning(body ...[]byte) *guest {
	g := newGuest()
	g.fn("_start", ":", body...)
	return g
}

// What is a program is told from what is a file system, however it is damaged.
func TestIsProgram(t *testing.T) {
	program := beginning().bytes()
	both := plain().malloc().reads()
	both.fn("_start", ":")
	global := newGuest()
	global.exports = append(global.exports, cat(text("_start"), op(3, 0)))
	for name, c := range map[string]struct {
		module []byte
		want   bool
	}{
		"a program": {program, true}, "a file system": {plain().malloc().reads().bytes(), false}, "both": {both.bytes(), false},
		"neither": {newGuest().bytes(), false}, "no function": {global.bytes(), false}, "nothing": {nil, false}, "a header": {program[:8], false},
	} {
		if got := IsProgram(c.module); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for n := range program { // no panic
		_ = IsProgram(program[:n])
		bent := append([]byte(nil), program...)
		bent[n] ^= 0xff
		_ = IsProgram(bent)
	}
	h := newHost(t)
	if _, err := h.Run(t.Context(), plain().malloc().reads().bytes(), 1<<20, h.log); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("a file system is run: %v", err)
	}
	if _, err := h.Run(t.Context(), program[:len(program)-1], 1<<20, h.log); vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("half a module is run: %v", err)
	}
}

// However a program ends, or does not, it is gone and says why.
func TestProgramEnds(t *testing.T) {
	loop := op(0x03, 0x40, 0x0c, 0, 0x0b)
	exits := newGuest()
	exit := exits.imp("wasi_snapshot_preview1", "proc_exit", "i:")
	exits.fn("_start", ":", i32(7), run(exit))
	// It reads one byte from, or writes 64 KiB to, what nobody writes to or reads from.
	waits := func(name string, fd int64) *guest {
		g := newGuest()
		f := g.imp("wasi_snapshot_preview1", name, "iiii:i")
		g.data[0] = "\x00\x10\x00\x00\x00\x00\x01\x00" // 64 KiB at 4096
		g.fn("_start", ":", i32(fd), i32(0), i32(1), i32(16), run(f), op(0x1a), loop)
		return g
	}
	for name, c := range map[string]struct {
		g      *guest
		killed bool
		how    string
	}{
		"returns": {beginning(), false, "exit status 0"}, "exits": {exits, false, "exit status 7"},
		"traps": {beginning(op(0x00)), false, "unreachable"}, "loops": {beginning(loop), true, "killed"},
		"reads": {waits("fd_read", 0), true, "killed"}, "writes": {waits("fd_write", 1), true, "killed"},
	} {
		h := newHost(t)
		p, err := h.Run(t.Context(), c.g.bytes(), 1<<20, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		patience := time.Minute
		if c.killed {
			patience = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		p.End(ctx)
		p.End(ctx) // may be called again
		cancel()
		select {
		case <-p.Done():
		default:
			t.Fatalf("%s: it still runs", name)
		}
		if got := p.Report(); !strings.Contains(got, c.how) {
			t.Errorf("%s: %s, expected %s", name, got, c.how)
		}
		_, out := p.Pipes()
		if _, err := out.Read(make([]byte, 1)); err != io.EOF && err != io.ErrClosedPipe {
			t.Errorf("%s: its output has not ended: %v", name, err)
		}
	}
}

// stuck is a log that takes nothing until it is opened; it tells when it is given
// something.
type stuck struct {
	slog.Handler
	given, open chan struct{}
}

func (s stuck) Enabled(context.Context, slog.Level) bool { return true }

func (s stuck) Handle(context.Context, slog.Record) error {
	s.given <- struct{}{}
	<-s.open
	return nil
}

// What a killed program holds is freed also if it ends after it was waited for.
func TestProgramEndsLate(t *testing.T) {
	g := newGuest()
	says := g.imp("wasi_snapshot_preview1", "fd_write", "iiii:i")
	g.data[0] = "\x08\x00\x00\x00\x04\x00\x00\x00say\n"
	g.fn("_start", ":", i32(2), i32(0), i32(1), i32(16), run(says), op(0x1a))
	log := stuck{slog.DiscardHandler, make(chan struct{}, 1), make(chan struct{})}
	p, err := newHost(t).Run(t.Context(), g.bytes(), 1<<20, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	<-log.given
	c := p.(*command)
	c.patience = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	p.End(ctx)
	select {
	case <-p.Done():
		t.Fatal("it has ended: its log was not in its way")
	default:
	}
	close(log.open)
	waitFor(t, "its memory is not freed", func() bool {
		_, err := c.p.runtime.CompileModule(t.Context(), []byte("\x00asm\x01\x00\x00\x00"))
		return err != nil
	})
}

// A program that computes holds a turn, and gives it back while it waits, or once it
// has ended.
func TestProgramTurns(t *testing.T) {
	loop := op(0x03, 0x40, 0x0c, 0, 0x0b)
	reads := newGuest()
	f := reads.imp("wasi_snapshot_preview1", "fd_read", "iiii:i")
	reads.data[0] = "\x00\x10\x00\x00\x01\x00\x00\x00"
	reads.fn("_start", ":", op(0x03, 0x40), i32(0), i32(0), i32(1), i32(16), run(f), op(0x1a, 0x0c, 0, 0x0b))
	for name, c := range map[string]struct {
		g    *guest
		held int
	}{"loops": {beginning(loop), 1}, "reads": {reads, 0}} {
		h := newHost(t)
		p, err := h.Run(t.Context(), c.g.bytes(), 1<<20, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		held := func(n int) bool {
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				if len(h.programs) == n {
					return true
				}
			}
			return false
		}
		if c.held == 0 { // it has begun once it takes a byte, and waits for the next
			in, _ := p.Pipes()
			if _, err := in.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
		}
		if !held(c.held) {
			t.Errorf("%s: %d turns are held", name, len(h.programs))
		}
		select {
		case <-p.Done():
			t.Errorf("%s: %s", name, p.Report())
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		p.End(ctx)
		cancel()
		if !held(0) {
			t.Errorf("%s: it keeps its turn", name)
		}
	}
}
