package text

import (
	"bufio"
	"context"
	"io"
	"strings"
	"sync"
)

// xargs runs a command with words of its input as arguments.
func xargs(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, words, err := xargsSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	b, err := newBatches(opts, c.Stdin)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		words = []string{"echo"}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	r := &launcher{c: c, out: &lockedWriter{w: c.Stdout}, slots: make(chan struct{}, b.parallel), trace: b.trace}
	err = b.all(ctx, words, r)
	r.running.Wait()
	switch worst := r.worst; {
	case worst >= exitStopping:
		return status(worst)
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case worst > 0:
		return status(worst)
	}
	return nil
}

// launcher runs commands, several at once under -P.
type launcher struct {
	c       *Call
	out     io.Writer
	slots   chan struct{}
	trace   bool
	running sync.WaitGroup

	mu    sync.Mutex
	worst int // exit status of xargs
}

// lockedWriter takes whole writes of several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// launch runs a command; false says that no more should be run.
func (r *launcher) launch(ctx context.Context, args []string) bool {
	r.slots <- struct{}{}
	r.mu.Lock()
	stop := r.worst >= exitStopping
	r.mu.Unlock()
	if stop || ctx.Err() != nil {
		<-r.slots
		return false
	}
	if r.trace {
		io.WriteString(r.c.Stderr, strings.Join(args, " ")+"\n")
	}
	run := func() {
		n := r.c.Run(ctx, args, nil, strings.NewReader(""), r.out)
		r.mu.Lock()
		r.worst = max(r.worst, xargsStatus(n))
		r.mu.Unlock()
		<-r.slots
	}
	if cap(r.slots) > 1 {
		r.running.Go(run)
		return true
	}
	run()
	return r.worst < exitStopping
}

// xargsStatus is the exit status of xargs when a command had this one.
func xargsStatus(n int) int {
	switch {
	case n == 0:
		return 0
	case n == 255:
		return exitStopping
	case n == exitNotRun, n == exitNoSuch:
		return n
	case n > 128: // as if a signal had ended it
		return exitOwn
	}
	return exitFailed
}

// all reads words and launches commands.
func (b *batches) all(ctx context.Context, command []string, r *launcher) error {
	size := 0
	for _, w := range command {
		size += len(w) + 1
	}
	var batch []string
	used, lines, ran := size, 0, false
	flush := func() bool {
		ran = true
		ok := r.launch(ctx, append(append([]string{}, command...), batch...))
		batch, used, lines = nil, size, 0
		return ok
	}
	for {
		word, lineEnd, err := b.words.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if b.replace != "" {
			if ran = true; !r.launch(ctx, b.replaced(command, word)) {
				return nil
			}
			continue
		}
		if size+len(word)+1 > b.bytes {
			return fail(1, "argument line too long")
		}
		full := used+len(word)+1 > b.bytes
		if full && b.exact {
			return fail(1, "argument list too long")
		}
		if full && !flush() {
			return nil
		}
		batch, used, lines = append(batch, word), used+len(word)+1, lines+truth(lineEnd)
		if (b.args > 0 && len(batch) == b.args || b.lines > 0 && lines == b.lines) && !flush() {
			return nil
		}
	}
	if len(batch) > 0 || !ran && !b.skipEmpty && b.replace == "" {
		flush()
	}
	return nil
}

func (b *batches) replaced(command []string, word string) []string {
	out := make([]string, len(command))
	out[0] = command[0]
	for i, w := range command[1:] {
		out[i+1] = strings.ReplaceAll(w, b.replace, word)
	}
	return out
}

// argReader splits the input of xargs: at a delimiter, or at blanks and newlines
// with quotes and backslashes.
type argReader struct {
	r      *bufio.Reader
	delim  int // -1 for blanks
	byLine bool
	end    string // the word that stands for the end of the input; "" for none
	ended  bool
}

// next returns a word, and whether a line ended behind it.
func (a *argReader) next() (string, bool, error) {
	if a.ended {
		return "", false, io.EOF
	}
	read := a.word
	if a.delim >= 0 {
		read = a.delimited
	}
	word, lineEnd, err := read()
	if err == nil && len(word) > maxLine {
		err = fail(1, "argument line too long")
	}
	if err == nil && a.end != "" && word == a.end {
		a.ended = true
		return "", false, io.EOF
	}
	return word, lineEnd, err
}

func (a *argReader) delimited() (string, bool, error) {
	l := &lines{r: a.r, delim: byte(a.delim)}
	word, err := l.next()
	return string(word), true, err
}

func (a *argReader) word() (string, bool, error) {
	var w strings.Builder
	started := false
	for w.Len() <= maxLine {
		b, err := a.r.ReadByte()
		switch {
		case err == io.EOF && started:
			return w.String(), true, nil
		case err != nil:
			return "", false, err
		case b == '\n' && started:
			return w.String(), true, nil
		case b == '\n', blank(b) && !started:
			continue
		case blank(b) && !a.byLine:
			return w.String(), false, nil // a line that ends with a blank goes on, as POSIX has it for -L
		case b == '\\':
			if b, err = a.r.ReadByte(); err != nil {
				return "", false, fail(1, "backslash at end of input")
			}
		case b == '\'' || b == '"':
			if err := a.quoted(&w, b); err != nil {
				return "", false, err
			}
			started = true
			continue
		}
		started = true
		w.WriteByte(b)
	}
	return "", false, fail(1, "argument line too long")
}

func (a *argReader) quoted(w *strings.Builder, quote byte) error {
	for w.Len() <= maxLine {
		b, err := a.r.ReadByte()
		if err != nil || b == '\n' {
			kind := map[byte]string{'\'': "single", '"': "double"}[quote]
			return fail(1, "unmatched %s quote; by default quotes are special to xargs unless you use the -0 option", kind)
		}
		if b == quote {
			return nil
		}
		w.WriteByte(b)
	}
	return nil
}
