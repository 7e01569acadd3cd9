package text

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Exit statuses of commands that run others, as POSIX and GNU have them.
const (
	exitTimedOut = 124
	exitOwn      = 125 // env or timeout itself failed
	exitNotRun   = 126
	exitNoSuch   = 127
)

// sleep waits for the sum of its arguments.
func sleep(ctx context.Context, c *Call, _ *bufio.Writer) error {
	_, words, err := syntax{usage: 1}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return fail(1, "missing operand")
	}
	var sum time.Duration
	for _, w := range words {
		d, err := duration(w)
		if err != nil {
			return err
		}
		sum += min(d, 1<<62-sum)
	}
	t := time.NewTimer(sum)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// duration reads "1.5", "2m": seconds, or with a suffix s, m, h or d.
func duration(s string) (time.Duration, error) {
	number := strings.TrimRight(s, "smhd")
	unit, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[s[len(number):]]
	x, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || x < 0 || x != x {
		return 0, fail(1, "invalid time interval '%s'", s)
	}
	return time.Duration(min(x*unit, 1<<33) * float64(time.Second)), nil
}

// yes prints a line until nobody reads any more.
func yes(ctx context.Context, c *Call, out *bufio.Writer) error {
	line := "y"
	if len(c.Args) > 1 {
		line = strings.Join(c.Args[1:], " ")
	}
	for ctx.Err() == nil {
		if err := put(out, []byte(line)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tee copies its input to its output and to files.
func tee(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, names, err := syntax{flags: "aip", usage: 1, long: map[string]string{"append": "a", "ignore-interrupts": "i"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	var failed error
	broken := func(name string, err error) {
		c.say("%s: %s", name, reason(err))
		failed = status(1)
	}
	files := map[int]io.WriteCloser{}
	for i, name := range names {
		f, err := c.Create(ctx, name, has(opts, 'a'))
		if err != nil {
			broken(name, err)
			continue
		}
		files[i] = f
	}
	end := func() {
		for i, f := range files {
			if err := f.Close(); err != nil {
				broken(names[i], err)
			}
		}
	}
	buf := make([]byte, bufSize)
	for {
		n, err := c.Stdin.Read(buf)
		for i, f := range files {
			if _, err := f.Write(buf[:n]); err != nil {
				broken(names[i], err)
				f.Close()
				delete(files, i)
			}
		}
		if _, werr := out.Write(buf[:n]); werr != nil && err == nil {
			err = werr
		}
		switch {
		case err == io.EOF:
			end()
			return failed
		case err != nil:
			end()
			return err
		}
	}
}

// printenv prints variables; exit status 1 if one of them is not set.
func printenv(_ context.Context, c *Call, out *bufio.Writer) error {
	if len(c.Args) == 1 {
		for _, v := range c.Environ() {
			put(out, []byte(v)) // its error stays in out
		}
		return nil
	}
	set := map[string]string{}
	for _, v := range c.Environ() {
		name, value, _ := strings.Cut(v, "=")
		set[name] = value
	}
	var missing error
	for _, name := range c.Args[1:] {
		value, ok := set[name]
		if !ok {
			missing = status(1)
			continue
		}
		put(out, []byte(value)) // its error stays in out
	}
	return missing
}

// env prints the variables, or runs a command with more of them.
func env(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, words, err := syntax{flags: "iu:", first: true, usage: exitOwn, long: map[string]string{"ignore-environment": "i", "unset": "u"}}.parse(c.Args[1:])
	if err != nil {
		return err
	}
	if len(words) > 0 && words[0] == "-" {
		opts, words = append(opts, option{name: 'i'}), words[1:]
	}
	var set []string
	for len(words) > 0 && strings.Contains(words[0], "=") {
		set, words = append(set, words[0]), words[1:]
	}
	if len(words) > 0 {
		if len(opts) > 0 {
			return fail(exitOwn, "-%c is not supported with a command: use ( unset NAME; COMMAND )", opts[0].name)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if n := c.Run(ctx, words, set, c.Stdin, c.Stdout); n != 0 {
			return status(n)
		}
		return nil
	}
	var all []string
	if !has(opts, 'i') {
		all = c.Environ()
	}
	for _, v := range all {
		if name, _, _ := strings.Cut(v, "="); !named(set, name) && !unset(opts, name) {
			put(out, []byte(v)) // its error stays in out
		}
	}
	for _, v := range set {
		put(out, []byte(v)) // its error stays in out
	}
	return nil
}

func named(set []string, name string) bool {
	for _, v := range set {
		if strings.HasPrefix(v, name+"=") {
			return true
		}
	}
	return false
}

func unset(opts []option, name string) bool {
	for _, o := range opts {
		if o.name == 'u' && o.value == name {
			return true
		}
	}
	return false
}

var timeoutSyntax = syntax{flags: "fk:ps:v", first: true, usage: exitOwn, long: map[string]string{
	"foreground": "f", "kill-after": "k", "preserve-status": "p", "signal": "s", "verbose": "v",
}}

// timeout runs a command and ends it after a time; commands of the shell know no
// signals, so that -s and -k make no difference.
func timeout(ctx context.Context, c *Call, _ *bufio.Writer) error {
	opts, words, err := timeoutSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	if len(words) < 2 {
		return fail(exitOwn, "missing operand: give a time and a command, as timeout 5s sleep 10")
	}
	limit, err := duration(words[0])
	if err != nil {
		return fail(exitOwn, "%s", err)
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := errors.New("late")
	if limit > 0 {
		defer time.AfterFunc(limit, func() { cancel(late) }).Stop()
	}
	n := c.Run(limited, words[1:], nil, c.Stdin, c.Stdout)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case context.Cause(limited) == late && !has(opts, 'p'):
		return status(exitTimedOut)
	case n != 0:
		return status(n)
	}
	return nil
}

// batches is what the flags of xargs ask for.
type batches struct {
	args, lines, bytes int // most of each in one command; 0 for any
	replace            string
	parallel           int
	trace, skipEmpty   bool
	exact              bool // -x: a command that is too long ends xargs
	words              *argReader
}

const (
	xargsBytes   = 128 << 10 // of one command, as GNU's has it
	exitFailed   = 123       // a command failed
	exitStopping = 124       // a command exited with 255
)

var xargsSyntax = syntax{flags: "0d:E:I:L:n:P:rs:tx", first: true, usage: 1, long: map[string]string{
	"null": "0", "delimiter": "d", "replace": "I", "max-lines": "L", "max-args": "n", "max-procs": "P",
	"no-run-if-empty": "r", "max-chars": "s", "verbose": "t", "exit": "x",
}}

// newBatches reads the flags.
func newBatches(opts []option, in io.Reader) (*batches, error) {
	b := &batches{bytes: xargsBytes, parallel: 1, words: &argReader{r: bufio.NewReaderSize(in, bufSize), delim: -1}}
	for _, o := range opts {
		if err := b.set(o); err != nil {
			return nil, err
		}
	}
	b.words.byLine = b.replace != ""
	return b, nil
}

func (b *batches) set(o option) (err error) {
	switch o.name {
	case '0':
		b.words.delim = 0
	case 'd':
		if o.value == "" {
			return fail(1, "-d needs a character")
		}
		d, rest := setByte(o.value)
		if rest != "" {
			return fail(1, "Invalid input delimiter specification %s: it must be a single character", o.value)
		}
		b.words.delim = int(d)
	case 'E':
		b.words.end = o.value
	case 'I':
		b.replace, b.args, b.lines = o.value, 0, 0
	case 'L', 'n', 'P', 's':
		n, err := count(fmt.Sprintf("number for -%c", o.name), o.value, truth(o.name != 'P'))
		if err != nil {
			return err
		}
		b.limit(o.name, n)
	default:
		b.trace, b.skipEmpty, b.exact = b.trace || o.name == 't', b.skipEmpty || o.name == 'r', b.exact || o.name == 'x'
	}
	return nil
}

func (b *batches) limit(flag byte, n int) {
	switch flag {
	case 'L':
		b.lines, b.args, b.replace = n, 0, ""
	case 'n':
		b.args, b.lines, b.replace = n, 0, ""
	case 'P':
		if b.parallel = n; n == 0 {
			b.parallel = 16
		}
	case 's':
		b.bytes = n
	}
}
