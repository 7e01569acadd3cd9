package shell

import (
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
)

const nullDevice = "/dev/null"

// standard opens names that are no files of the server, whatever is mounted there.
func standard(hc interp.HandlerContext, name string) (io.ReadWriteCloser, bool) {
	switch name {
	case nullDevice:
		return null{}, true
	case "/dev/stdin":
		return std{r: hc.Stdin, w: io.Discard}, true
	case "/dev/stdout":
		return std{r: null{}, w: hc.Stdout}, true
	case "/dev/stderr":
		return std{r: null{}, w: hc.Stderr}, true
	}
	return nil, false
}

// null is empty, and takes anything.
type null struct{}

// Read is at the end.
func (null) Read([]byte) (int, error) { return 0, io.EOF }

// Write forgets.
func (null) Write(b []byte) (int, error) { return len(b), nil }

// Close does nothing.
func (null) Close() error { return nil }

// nullInfo describes it.
type nullInfo struct{}

func (nullInfo) Name() string       { return "null" }
func (nullInfo) Size() int64        { return 0 }
func (nullInfo) Mode() fs.FileMode  { return fs.ModeDevice | fs.ModeCharDevice | 0o666 }
func (nullInfo) ModTime() time.Time { return time.Time{} }
func (nullInfo) IsDir() bool        { return false }
func (nullInfo) Sys() any           { return ownedByMe() }

// std is one of the files that a command has already. It stays open.
type std struct {
	r io.Reader
	w io.Writer
}

// Read reads on.
func (f std) Read(b []byte) (int, error) {
	if f.r == nil {
		return 0, io.EOF
	}
	return f.r.Read(b)
}

// Write writes through.
func (f std) Write(b []byte) (int, error) { return f.w.Write(b) }

// Close does nothing.
func (f std) Close() error { return nil }

// closed is stdin where there is none.
func closed(r io.Reader) io.Reader {
	if f, ok := r.(*os.File); r == nil || ok && f == nil {
		return null{}
	}
	return r
}

// readable is stdin so that a read of it can be ended: a terminal is opened anew.
func readable(r io.Reader) io.Reader {
	f, ok := r.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return r
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty
	}
	return r // there is none to open
}
