package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/term"
)

// output is stdout; it remembers that something could not be written.
type output struct {
	w   io.Writer
	err error
}

// Write writes through until the first error.
func (o *output) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	if err != nil {
		o.err = fmt.Errorf("stdout: %w", err)
	}
	return n, o.err
}

// lines is stderr, for several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes a line.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// Files returns stdout and stderr as they were given to New, for what needs the
// terminal itself.
func (e *Env) Files() (stdout, stderr io.Writer) {
	stdout, stderr = e.Stdout, e.Stderr
	if o, ok := stdout.(*output); ok {
		stdout = o.w
	}
	if l, ok := stderr.(*lines); ok {
		stderr = l.w
	}
	return stdout, stderr
}

// Input returns stdin as it was given to New, for programs and for what asks at the
// terminal itself.
func (e *Env) Input() io.Reader { return e.in }

// Terminal reports whether w is a person's terminal.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Printf writes to stdout.
func (e *Env) Printf(format string, args ...any) { fmt.Fprintf(e.Stdout, format, args...) }

// Say writes a line to stderr, without what could steer a terminal.
func (e *Env) Say(format string, args ...any) {
	fmt.Fprintln(e.Stderr, Plain(fmt.Sprintf(format, args...)))
}

// JSON reports whether the user asked for JSON.
func (e *Env) JSON() bool { return e.Format == "json" }

// Encode writes v to stdout as JSON.
func (e *Env) Encode(v any) error {
	j := json.NewEncoder(e.Stdout)
	j.SetIndent("", "  ")
	j.SetEscapeHTML(false)
	return j.Encode(v)
}

// Line writes v to stdout as one line of JSON.
func (e *Env) Line(v any) error {
	j := json.NewEncoder(e.Stdout)
	j.SetEscapeHTML(false)
	return j.Encode(v)
}

// Plain escapes control characters.
func Plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// SizeText is a number of bytes for people.
func SizeText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	v, unit := float64(n), 0
	for v >= 1024 && unit < len("KMGTPE") {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", v, "KMGTPE"[unit-1])
}
