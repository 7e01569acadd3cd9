package text

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// Exit statuses of jq.
const (
	exitJqUsage   = 2
	exitJqCompile = 3
	exitJqNothing = 4 // -e and no output
	exitJqError   = 5
)

// jqMax is the most of one JSON value, and of all values under -s, in bytes.
const jqMax = 256 << 20

// filtering is what the flags of jq ask for.
type filtering struct {
	raw, join, null, slurp, rawInput, status, sorted bool
	indent                                           string
	names                                            []string // of variables
	values                                           []any
	named                                            map[string]any
	positional                                       []any
	program                                          string
	fromFile                                         bool
	files                                            []string
}

// jq filters JSON. Objects come out with their names sorted, by gojq.
func jq(ctx context.Context, c *Call, out *bufio.Writer) error {
	f := &filtering{indent: "  ", named: map[string]any{}, positional: []any{}}
	if err := f.parse(ctx, c); err != nil {
		return err
	}
	query, err := gojq.Parse(f.program)
	if err != nil {
		return fail(exitJqCompile, "compile error: %s", err)
	}
	in := &jqInput{ctx: ctx, c: c, f: f, names: f.files}
	if len(in.names) == 0 {
		in.names = []string{"-"}
	}
	defer in.close()
	all := map[string]any{"named": f.named, "positional": f.positional}
	code, err := gojq.Compile(query,
		gojq.WithVariables(append(f.names, "$ARGS")),
		gojq.WithEnvironLoader(c.Environ),
		gojq.WithInputIter(in),
		gojq.WithFunction("input_filename", 0, 0, func(any, []any) any { return in.filename() }),
		gojq.WithFunction("debug", 0, 1, func(v any, args []any) any { return c.debug(v, args) }),
		gojq.WithFunction("stderr", 0, 0, func(v any, _ []any) any { return c.jqStderr(v) }),
	)
	if err != nil {
		return fail(exitJqCompile, "compile error: %s", err)
	}
	run := &jqRun{f: f, out: out, result: exitJqNothing}
	if err := run.all(ctx, c, in, code, append(f.values, any(all))); err != nil {
		return err
	}
	switch {
	case run.failed != 0:
		return status(run.failed)
	case in.failed:
		return status(exitJqUsage)
	case f.status && run.result != 0:
		return status(run.result)
	}
	return nil
}

// parse reads the command line. Some flags take two values, so that it is no syntax.
func (f *filtering) parse(ctx context.Context, c *Call) error {
	var words []string
	rest := "" // where operands behind --args and --jsonargs go
	for args := c.Args[1:]; len(args) > 0; {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--args", arg == "--jsonargs":
			rest = arg
		case len(arg) > 2 && arg[:2] == "--":
			args, err = f.long(ctx, c, arg[2:], args)
		case len(arg) > 1 && arg[0] == '-':
			args, err = f.letters(arg[1:], args)
		case rest != "" && (len(words) > 0 || f.fromFile):
			err = f.argument(rest, arg)
		default:
			words = append(words, arg)
		}
		if err != nil {
			return err
		}
	}
	if len(words) == 0 {
		return fail(exitJqUsage, "no filter: give one, as jq .name FILE")
	}
	f.program, f.files = words[0], words[1:]
	if f.fromFile {
		text, err := c.readAll(ctx, words[0])
		if err != nil {
			return fail(exitJqUsage, "%s", err)
		}
		f.program = string(text)
	}
	return nil
}

func (f *filtering) argument(kind, arg string) error {
	var v any = arg
	if kind == "--jsonargs" {
		var err error
		if v, err = parseJSON(arg); err != nil {
			return fail(exitJqUsage, "Invalid JSON text passed to --jsonargs: %s", arg)
		}
	}
	f.positional = append(f.positional, v)
	return nil
}

// letters takes "nr" of "-nr".
func (f *filtering) letters(word string, args []string) ([]string, error) {
	for _, flag := range []byte(word) {
		set, ok := f.flags()[flag]
		if !ok {
			return nil, fail(exitJqUsage, "Unknown option: -%c", flag)
		}
		set()
	}
	return args, nil
}

func (f *filtering) flags() map[byte]func() {
	return map[byte]func(){
		'c': func() { f.indent = "" }, 'r': func() { f.raw = true }, 'j': func() { f.raw, f.join = true, true },
		'n': func() { f.null = true }, 's': func() { f.slurp = true }, 'R': func() { f.rawInput = true },
		'e': func() { f.status = true }, 'S': func() { f.sorted = true }, 'f': func() { f.fromFile = true },
		'M': func() {}, 'a': func() {},
	}
}

// long takes a flag with its values.
func (f *filtering) long(ctx context.Context, c *Call, name string, args []string) ([]string, error) {
	plain := map[string]byte{
		"compact-output": 'c', "raw-output": 'r', "join-output": 'j', "null-input": 'n', "slurp": 's', "raw-input": 'R',
		"exit-status": 'e', "sort-keys": 'S', "from-file": 'f', "monochrome-output": 'M',
	}
	if letter, ok := plain[name]; ok {
		return f.letters(string(letter), args)
	}
	if name == "tab" {
		f.indent = "\t"
		return args, nil
	}
	takes := map[string]int{"arg": 2, "argjson": 2, "slurpfile": 2, "rawfile": 2, "indent": 1}[name]
	if takes == 0 {
		return nil, fail(exitJqUsage, "Unknown option: --%s", name)
	}
	if len(args) < takes {
		return nil, fail(exitJqUsage, "--%s takes %d values", name, takes)
	}
	if name == "indent" {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 || n > 7 {
			return nil, fail(exitJqUsage, "--indent takes a number from 0 to 7")
		}
		f.indent = strings.Repeat(" ", n)
		return args[1:], nil
	}
	v, err := c.jqValue(ctx, name, args[1])
	if err != nil {
		return nil, fail(exitJqUsage, "%s", err)
	}
	f.names, f.values = append(f.names, "$"+args[0]), append(f.values, v)
	f.named[args[0]] = v
	return args[2:], nil
}

// jqValue is the value of --arg and its like.
func (c *Call) jqValue(ctx context.Context, kind, value string) (any, error) {
	switch kind {
	case "arg":
		return value, nil
	case "argjson":
		v, err := parseJSON(value)
		if err != nil {
			err = fmt.Errorf("Invalid JSON text passed to --argjson: %s", value)
		}
		return v, err
	}
	text, err := c.readAll(ctx, value)
	if err != nil || kind == "rawfile" {
		return string(text), err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	all := []any{}
	for {
		var v any
		if err := d.Decode(&v); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", value, err)
		}
		all = append(all, v)
	}
}

func parseJSON(s string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err = d.Decode(&v); err == nil && d.More() {
		err = errors.New("more than one value")
	}
	return v, err
}

func (c *Call) debug(v any, args []any) any {
	if len(args) > 0 {
		v = args[0]
	}
	if text, err := gojq.Marshal([]any{"DEBUG:", v}); err == nil {
		fmt.Fprintf(c.Stderr, "%s\n", text)
	}
	return v
}

func (c *Call) jqStderr(v any) any {
	if text, err := gojq.Marshal(v); err == nil {
		c.Stderr.Write(text)
	}
	return v
}

// jqInput are the values of the input files, one by one.
type jqInput struct {
	ctx    context.Context
	c      *Call
	f      *filtering
	names  []string
	name   string // of the open file
	file   io.Closer
	meter  *meter
	json   *json.Decoder
	lines  *lines
	failed bool
}

// meter counts what was read, and fails past a limit.
type meter struct {
	r io.Reader
	n int64
}

// Read reads.
func (m *meter) Read(p []byte) (int, error) {
	if m.n > jqMax {
		return 0, fmt.Errorf("a value is larger than %d bytes", jqMax)
	}
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

func (in *jqInput) close() {
	if in.file != nil {
		in.file.Close()
	}
	in.file, in.json, in.lines = nil, nil, nil
}

func (in *jqInput) filename() any {
	if in.name == "" || in.name == "-" {
		return nil
	}
	return in.name
}

// Next returns a value, or an error as one; false at the end.
func (in *jqInput) Next() (any, bool) {
	for {
		if in.file == nil && !in.open() {
			return nil, false
		}
		v, err := in.decode()
		if err == nil {
			if !in.f.slurp {
				in.meter.n = 0
			}
			return v, true
		}
		in.close()
		if err != io.EOF {
			in.names = nil
			return fmt.Errorf("%w", err), true
		}
	}
}

func (in *jqInput) open() bool {
	for len(in.names) > 0 && in.ctx.Err() == nil {
		in.name = in.names[0]
		in.names = in.names[1:]
		f, err := in.c.open(in.ctx, in.name)
		if err != nil {
			in.c.say("error: Could not open %s", err)
			in.failed = true
			continue
		}
		if in.meter == nil {
			in.meter = &meter{}
		}
		in.file, in.meter.r = f, f
		if in.f.rawInput {
			in.lines = newLines(in.meter)
		} else {
			in.json = json.NewDecoder(in.meter)
			in.json.UseNumber()
		}
		return true
	}
	return false
}

func (in *jqInput) decode() (v any, err error) {
	if in.lines != nil {
		line, err := in.lines.next()
		return string(line), err
	}
	err = in.json.Decode(&v)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("Unfinished JSON term")
	}
	return v, err
}

// slurped reads all values as one.
func (in *jqInput) slurped() (any, error) {
	if in.f.rawInput {
		var b strings.Builder
		err := in.c.each(in.ctx, in.f.files, func(_ string, r io.Reader) error {
			_, err := io.Copy(&b, &meter{r: r})
			return err
		})
		return b.String(), err
	}
	all := []any{}
	for {
		v, ok := in.Next()
		if !ok {
			return all, nil
		}
		if err, bad := v.(error); bad {
			return nil, err
		}
		all = append(all, v)
	}
}

// jqRun prints what a filter makes of each input.
type jqRun struct {
	f      *filtering
	out    *bufio.Writer
	result int // of -e
	failed int
}

func (r *jqRun) all(ctx context.Context, c *Call, in *jqInput, code *gojq.Code, vars []any) error {
	if r.f.null {
		return r.one(ctx, c, code, nil, vars)
	}
	if r.f.slurp {
		v, err := in.slurped()
		if err != nil {
			return fail(exitJqUsage, "error: %s", err)
		}
		return r.one(ctx, c, code, v, vars)
	}
	for ctx.Err() == nil {
		v, ok := in.Next()
		if !ok {
			return nil
		}
		if err, bad := v.(error); bad {
			return fail(exitJqUsage, "parse error: %s", err)
		}
		if err := r.one(ctx, c, code, v, vars); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// one runs the filter on a value.
func (r *jqRun) one(ctx context.Context, c *Call, code *gojq.Code, v any, vars []any) error {
	results := code.RunWithContext(ctx, v, vars...)
	for {
		v, ok := results.Next()
		if !ok {
			return nil
		}
		if err, bad := v.(error); bad {
			return r.broke(ctx, c, err)
		}
		r.failed = 0
		if r.result = 0; v == nil || v == false {
			r.result = 1
		}
		if err := r.print(v); err != nil {
			return err
		}
	}
}

// broke tells what went wrong with one input; the next one may do better.
func (r *jqRun) broke(ctx context.Context, c *Call, err error) error {
	var halt *gojq.HaltError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &halt):
		if v := halt.Value(); v != nil {
			if text, isText := v.(string); isText {
				io.WriteString(c.Stderr, text)
			} else if b, err := gojq.Marshal(v); err == nil {
				fmt.Fprintf(c.Stderr, "%s\n", b)
			}
		}
		return status(halt.ExitCode())
	}
	c.say("error: %s", err)
	r.failed = exitJqError
	return nil
}

func (r *jqRun) print(v any) error {
	text, isText := v.(string)
	if !r.f.raw || !isText {
		b, err := gojq.Marshal(v)
		if err != nil {
			return err
		}
		if r.f.indent != "" {
			var wide bytes.Buffer
			if err := json.Indent(&wide, b, "", r.f.indent); err != nil {
				return err
			}
			b = wide.Bytes()
		}
		text = string(b)
	}
	if !r.f.join {
		text += "\n"
	}
	_, err := r.out.WriteString(text)
	return err
}
