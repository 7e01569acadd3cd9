package supervise

import (
	"context"
	"io"
	"strings"
	"time"
)

// Pipe is an end of a pipe. What is under way on it ends at its deadline, with
// os.ErrDeadlineExceeded.
type Pipe interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Process is a program that is spoken to through pipes: a [Child], or what stands
// for one.
type Process interface {
	// Pipes returns its standard input and output; the caller may close them.
	Pipes() (in, out Pipe)
	// Done is closed once it has ended.
	Done() <-chan struct{}
	// Report says how it has ended, with the last lines that it has said. It may
	// be called once Done is closed.
	Report() string
	// Say logs and keeps a text that it has sent in another way, as if it had
	// written it to its standard error.
	Say(text string)
	// Kill ends it at once.
	Kill()
	// End lets it end by itself until ctx is over, and then kills it. Nothing of
	// it is left after that.
	End(ctx context.Context)
}

var _ Process = (*Child)(nil)

// Pipes returns In and Out.
func (p *Child) Pipes() (in, out Pipe) { return p.In, p.Out }

// Report says how a program has ended, with the last lines that it has said.
func (t *Tail) Report(how string) string {
	text := "the plugin ended"
	if how != "" {
		text += ": " + how
	}
	if last := t.last(); len(last) > 0 {
		text += "; its last lines: " + strings.Join(last, " | ")
	}
	return text
}
