package text

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// awkSink is where print goes.
type awkSink = *bufio.Writer

// awkOutput is a file or command that print writes to.
type awkOutput struct {
	w     *bufio.Writer
	close func() (int, error)
}

// awkReader is a file or command that is read record by record.
type awkReader struct {
	r     *bufio.Reader
	rest  []byte // read, but not used, when RS is a regular expression
	ended bool
	close func() int
}

func (r *awkRun) out() awkSink { return r.stdout }

func (r *awkRun) write(w awkSink, s string) {
	if _, err := w.WriteString(s); err != nil {
		panic(awkError{err})
	}
}

func (r *awkRun) print(w awkSink, s string) {
	r.write(w, s)
	r.write(w, r.toStr(r.ors.v))
}

func (r *awkRun) flush() {
	for _, o := range r.sinks {
		if err := o.w.Flush(); err != nil {
			panic(awkError{err})
		}
	}
	if err := r.stdout.Flush(); err != nil {
		panic(awkError{err})
	}
}

// sink returns the file or command that print > name, >> or | writes to. It stays
// open until close or the end.
func (r *awkRun) sink(kind, name string) awkSink {
	if o := r.sinks[name]; o != nil {
		return o.w
	}
	var o *awkOutput
	switch {
	case kind == "|":
		o = r.pipeTo(name)
	case name == "/dev/stdout" || name == "-":
		return r.stdout
	case name == "/dev/stderr":
		o = &awkOutput{w: bufio.NewWriterSize(r.c.Stderr, 16), close: func() (int, error) { return 0, nil }}
	default:
		f, err := r.c.Create(r.ctx, name, kind == ">>")
		if err != nil {
			panic(awkError{fail(exitUsage, "can't redirect to %s (%s)", name, reason(err))})
		}
		o = &awkOutput{w: bufio.NewWriterSize(f, bufSize), close: func() (int, error) { return 0, f.Close() }}
	}
	r.sinks[name] = o
	return o.w
}

// pipeTo starts a command that reads what is printed.
func (r *awkRun) pipeTo(command string) *awkOutput {
	if err := r.stdout.Flush(); err != nil {
		panic(awkError{err})
	}
	in, w := io.Pipe()
	var done sync.WaitGroup
	var result int
	done.Go(func() {
		result = r.shell(command, in, r.c.Stdout)
		in.Close() // what is still written is refused
	})
	return &awkOutput{w: bufio.NewWriterSize(w, bufSize), close: func() (int, error) {
		w.Close()
		done.Wait()
		return result, nil
	}}
}

// shell runs a command line.
func (r *awkRun) shell(command string, in io.Reader, out io.Writer) int {
	return r.c.Run(r.ctx, []string{"sh", "-c", command}, nil, in, out)
}

func (r *awkRun) system(command string) int {
	r.flush()
	return r.shell(command, r.c.Stdin, r.c.Stdout)
}

// reader opens a file or starts a command; nil if there is no such file.
func (r *awkRun) reader(kind, name string) *awkReader {
	if in := r.readers[name]; in != nil {
		return in
	}
	var in *awkReader
	if kind == "|" {
		in = r.pipeFrom(name)
	} else {
		f, err := r.c.open(r.ctx, name)
		if err != nil {
			return nil
		}
		in = &awkReader{r: bufio.NewReaderSize(f, bufSize), close: func() int { f.Close(); return 0 }}
	}
	r.readers[name] = in
	return in
}

// pipeFrom starts a command whose output is read.
func (r *awkRun) pipeFrom(command string) *awkReader {
	if err := r.stdout.Flush(); err != nil {
		panic(awkError{err})
	}
	out, w := io.Pipe()
	var done sync.WaitGroup
	var result int
	done.Go(func() {
		result = r.shell(command, strings.NewReader(""), w)
		w.Close()
	})
	return &awkReader{r: bufio.NewReaderSize(out, bufSize), close: func() int {
		out.Close()
		done.Wait()
		return result
	}}
}

// close closes a file or command; -1 if it is not open.
func (r *awkRun) close(name string) int {
	result := -1
	if o := r.sinks[name]; o != nil {
		delete(r.sinks, name)
		flushed := o.w.Flush()
		n, err := o.close()
		if err == nil && flushed != nil && !gone(flushed) {
			err = flushed
		}
		if err != nil {
			panic(awkError{fail(exitUsage, "%s: %s", name, reason(err))})
		}
		result = n
	}
	if in := r.readers[name]; in != nil {
		delete(r.readers, name)
		result = in.close()
	}
	return result
}

// closeAll ends the program's files and commands.
func (r *awkRun) closeAll() error {
	errs := []error{r.stdout.Flush()}
	for name := range r.sinks {
		errs = append(errs, r.protect(func() awkFlow { r.close(name); return flowOn }))
	}
	for name := range r.readers {
		r.close(name)
	}
	r.closeInput()
	return errors.Join(errs...)
}

// getline reads a record: kind is "" for the operands, "<" for a file, "|" for a
// command. It returns 1, 0 at the end, or -1 for a file that cannot be read.
func (r *awkRun) getline(kind, name string) (string, int) {
	if kind == "" {
		line, ok := r.nextRecord()
		return line, truth(ok)
	}
	in := r.reader(kind, name)
	if in == nil {
		return "", -1
	}
	line, err := r.read(in)
	switch {
	case err == io.EOF:
		return "", 0
	case err != nil && r.ctx.Err() != nil:
		panic(awkError{err})
	case err != nil:
		return "", -1
	}
	if kind == "|" {
		r.nr.v = number(r.nr.v.num() + 1)
	}
	return line, 1
}

// nextRecord reads from the operands in turn; standard input if none is a file.
func (r *awkRun) nextRecord() (string, bool) {
	for {
		if r.input == nil && !r.nextFile() {
			return "", false
		}
		line, err := r.read(r.input)
		if err == nil {
			r.nr.v, r.fnr.v = number(r.nr.v.num()+1), number(r.fnr.v.num()+1)
			return line, true
		}
		r.closeInput()
		if err != io.EOF {
			panic(awkError{fmt.Errorf("%w", err)})
		}
	}
}

func (r *awkRun) closeInput() {
	if r.input != nil {
		r.input.close()
	}
	r.input = nil
}

// nextFile opens the next operand, and does the assignments before it.
func (r *awkRun) nextFile() bool {
	for ; r.operand < int(r.argc.v.num()); r.operand++ {
		word := r.toStr(r.argv.array()[fmt.Sprint(r.operand)])
		if word == "" || r.assign(word) {
			continue
		}
		r.operand++
		r.used = true
		r.openInput(word)
		return true
	}
	if r.used {
		return false
	}
	r.used = true
	r.openInput("-")
	r.filename.v = text("")
	return true
}

func (r *awkRun) openInput(name string) {
	f, err := r.c.open(r.ctx, name)
	if err != nil {
		panic(awkError{fail(exitUsage, "cannot open file %s", err)})
	}
	r.input = &awkReader{r: bufio.NewReaderSize(f, bufSize), close: func() int { f.Close(); return 0 }}
	r.filename.v, r.fnr.v = fromInput(name), number(0)
}

// read returns the next record, as RS separates them.
func (r *awkRun) read(in *awkReader) (string, error) {
	rs := r.toStr(r.rs.v)
	switch {
	case len(in.rest) > 0 || len(rs) > 1:
		return in.record(r.compile(rs))
	case rs == "":
		return in.paragraph()
	}
	l := &lines{r: in.r, delim: rs[0]}
	line, err := l.next()
	return string(line), err
}

// paragraph reads lines up to empty ones.
func (in *awkReader) paragraph() (string, error) {
	l := &lines{r: in.r, delim: '\n'}
	var b strings.Builder
	for started := false; ; {
		line, err := l.next()
		switch {
		case err == io.EOF && started:
			return b.String(), nil
		case err != nil:
			return "", err
		case len(line) == 0 && started:
			return b.String(), nil
		case len(line) == 0:
			continue
		case b.Len() > maxLine:
			return "", fmt.Errorf("a record is longer than %d bytes", maxLine)
		case started:
			b.WriteByte('\n')
		}
		b.Write(line)
		started = true
	}
}

// record reads up to a match that does not touch the end of what was read.
func (in *awkReader) record(sep *regexp.Regexp) (string, error) {
	for {
		if m := sep.FindIndex(in.rest); m != nil && m[0] < m[1] && (m[1] < len(in.rest) || in.ended) {
			line := string(in.rest[:m[0]])
			in.rest = in.rest[m[1]:]
			return line, nil
		}
		if in.ended {
			line := string(in.rest)
			if in.rest = nil; line == "" {
				return "", io.EOF
			}
			return line, nil
		}
		if len(in.rest) > maxLine {
			return "", fmt.Errorf("a record is longer than %d bytes", maxLine)
		}
		block := make([]byte, bufSize)
		n, err := in.r.Read(block)
		in.rest = append(in.rest, block[:n]...)
		if in.ended = err == io.EOF; err != nil && err != io.EOF {
			return "", err
		}
	}
}
