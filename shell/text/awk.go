package text

import (
	"bufio"
	"context"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// awkRun is one run of a program.
type awkRun struct {
	ctx    context.Context
	c      *Call
	prog   *awkProgram
	stdout *bufio.Writer

	frame  []awkSlot // of the function that runs
	depth  int
	result awkValue // of return
	status int
	ticks  int
	cache  map[string]*regexp.Regexp

	line    string // $0, unless stale
	stale   bool
	fields  []string
	isSplit bool

	fs, ofs, ors, rs, subsep, convfmt, ofmt, nr, fnr, filename, argc, argv *awkSlot

	input   *awkReader // of the operands
	operand int        // the next of ARGV
	used    bool       // an operand was a file
	readers map[string]*awkReader
	sinks   map[string]*awkOutput
	random  *rand.Rand
	seed    float64
}

// awkError ends a program; awkLeave goes on elsewhere, out of a function.
type (
	awkError struct{ error }
	awkLeave struct{ flow awkFlow }
)

var awkSyntax = syntax{flags: "F:v:f:", first: true, long: map[string]string{"field-separator": "F", "assign": "v", "file": "f"}}

// awk runs a program of POSIX awk on records. Files and commands go through the
// Call. for (k in a) goes through numbers in their order, then the other keys.
func awk(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, words, err := awkSyntax.parse(c.Args[1:])
	if err != nil {
		return err
	}
	var source []string
	for _, o := range opts {
		if o.name == 'f' {
			text, err := c.readAll(ctx, o.value)
			if err != nil {
				return fail(exitUsage, "%s", err)
			}
			source = append(source, string(text))
		}
	}
	if source == nil {
		if len(words) == 0 {
			return fail(exitUsage, "no program: give one, as awk '{ print $1 }' FILE")
		}
		source, words = words[:1], words[1:]
	}
	prog, err := parseAwk(strings.Join(source, "\n"))
	if err != nil {
		return fail(exitUsage, "%s", err)
	}
	r := newAwkRun(ctx, c, prog, out)
	r.arguments(words)
	for _, o := range opts {
		switch o.name {
		case 'F':
			r.fs.v = text(awkEscapes(o.value))
		case 'v':
			if !r.assign(o.value) {
				return fail(exitUsage, "-v %s is no assignment, as NAME=VALUE", o.value)
			}
		}
	}
	return r.run()
}

func newAwkRun(ctx context.Context, c *Call, prog *awkProgram, out *bufio.Writer) *awkRun {
	r := &awkRun{
		ctx: ctx, c: c, prog: prog, stdout: out, cache: map[string]*regexp.Regexp{}, operand: 1,
		readers: map[string]*awkReader{}, sinks: map[string]*awkOutput{}, random: rand.New(rand.NewPCG(0, 0)),
	}
	for name, at := range map[string]**awkSlot{
		"FS": &r.fs, "OFS": &r.ofs, "ORS": &r.ors, "RS": &r.rs, "SUBSEP": &r.subsep, "CONVFMT": &r.convfmt, "OFMT": &r.ofmt,
		"NR": &r.nr, "FNR": &r.fnr, "FILENAME": &r.filename, "ARGC": &r.argc, "ARGV": &r.argv,
	} {
		*at = r.global(name)
	}
	r.fs.v, r.ofs.v, r.ors.v, r.rs.v = text(" "), text(" "), text("\n"), text("\n")
	r.subsep.v, r.convfmt.v, r.ofmt.v = text("\x1c"), text("%.6g"), text("%.6g")
	r.nr.v, r.fnr.v = number(0), number(0)
	environ := r.global("ENVIRON").array()
	for _, v := range c.Environ() {
		name, value, _ := strings.Cut(v, "=")
		environ[name] = fromInput(value)
	}
	return r
}

func (r *awkRun) global(name string) *awkSlot {
	if r.prog.globals[name] == nil {
		r.prog.globals[name] = &awkSlot{}
	}
	return r.prog.globals[name]
}

func (r *awkRun) arguments(words []string) {
	argv := r.argv.array()
	argv["0"] = text(r.c.Args[0])
	for i, w := range words {
		argv[strconv.Itoa(i+1)] = fromInput(w)
	}
	r.argc.v = number(float64(len(words) + 1))
}

// assign does what "name=value" says; false if it says nothing like that.
func (r *awkRun) assign(word string) bool {
	name, value, ok := strings.Cut(word, "=")
	if !ok || name == "" || strings.Trim(name, "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || name[0] <= '9' {
		return false
	}
	if v := fromInput(awkEscapes(value)); name == "NF" {
		r.setCount(int(v.num()))
	} else {
		r.global(name).v = v
	}
	return true
}

// run runs the whole program and closes what it opened.
func (r *awkRun) run() error {
	err := r.protect(func() awkFlow {
		for _, b := range r.prog.begin {
			if f := b(r); f == flowExit {
				return f
			}
		}
		if len(r.prog.rules) > 0 || len(r.prog.end) > 0 {
			return r.records()
		}
		return flowOn
	})
	if err == nil || err == errAwkExit {
		err = r.protect(func() awkFlow {
			for _, e := range r.prog.end {
				if f := e(r); f == flowExit {
					return f
				}
			}
			return flowOn
		})
	}
	if err == errAwkExit {
		err = nil
	}
	if closed := r.closeAll(); err == nil {
		err = closed
	}
	if err == nil && r.status != 0 {
		return status(r.status)
	}
	return err
}

// errAwkExit is how protect tells of exit.
const errAwkExit = status(-1)

// protect runs a part of the program up to its end, exit, or an error.
func (r *awkRun) protect(do func() awkFlow) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case awkError:
			err = e.error
		case awkLeave:
			err = errAwkExit
		default:
			panic(e)
		}
	}()
	if do() == flowExit {
		return errAwkExit
	}
	return nil
}

// records runs the rules on every record.
func (r *awkRun) records() awkFlow {
	for {
		r.tick()
		line, ok := r.nextRecord()
		if !ok {
			return flowOn
		}
		r.setRecord(line)
		switch r.oneRecord() {
		case flowExit:
			return flowExit
		case flowNextFile:
			r.closeInput()
		}
	}
}

// oneRecord runs the rules; next may come out of a function.
func (r *awkRun) oneRecord() (flow awkFlow) {
	defer func() {
		if e := recover(); e != nil {
			left, ok := e.(awkLeave)
			if !ok || left.flow == flowExit {
				panic(e)
			}
			r.frame, r.depth = nil, 0
			flow = left.flow
		}
	}()
	for _, rule := range r.prog.rules {
		if !rule.applies(r) {
			continue
		}
		if f := rule.do(r); f != flowOn {
			return f
		}
	}
	return flowOn
}

func (rule *awkRule) applies(r *awkRun) bool {
	switch {
	case rule.from == nil:
		return true
	case rule.to == nil:
		return rule.from(r).truth()
	case !rule.inside && !rule.from(r).truth():
		return false
	}
	rule.inside = !rule.to(r).truth()
	return true
}

// tick looks at the context now and then.
func (r *awkRun) tick() {
	if r.ticks++; r.ticks%256 == 0 {
		if err := r.ctx.Err(); err != nil {
			panic(awkError{err})
		}
	}
}

// compile returns the regular expression of a string; some are kept.
func (r *awkRun) compile(expr string) *regexp.Regexp {
	if re := r.cache[expr]; re != nil {
		return re
	}
	re, err := awkDialect().compile(expr)
	if err != nil {
		panic(awkError{fail(exitUsage, "%s", err)})
	}
	if len(r.cache) >= 256 {
		clear(r.cache)
	}
	r.cache[expr] = re
	return re
}

func (r *awkRun) toStr(v awkValue) string {
	if v.kind != awkNumber {
		return v.s
	}
	return v.str(r.convfmt.v.s)
}

func (r *awkRun) values(exprs []awkExpr) []awkValue {
	out := make([]awkValue, len(exprs))
	for i, e := range exprs {
		out[i] = e(r)
	}
	return out
}

// key joins subscripts.
func (r *awkRun) key(exprs []awkExpr) string {
	if len(exprs) == 1 {
		return r.toStr(exprs[0](r))
	}
	parts := make([]string, len(exprs))
	for i, v := range r.values(exprs) {
		parts[i] = r.toStr(v)
	}
	return strings.Join(parts, r.toStr(r.subsep.v))
}

// record is $0.
func (r *awkRun) record() string {
	if r.stale {
		r.line, r.stale = strings.Join(r.fields, r.toStr(r.ofs.v)), false
	}
	return r.line
}

func (r *awkRun) setRecord(line string) {
	r.line, r.stale, r.isSplit = line, false, false
}

// cut splits the record into fields, if that was not done.
func (r *awkRun) cut() {
	if !r.isSplit {
		r.fields, r.isSplit = r.split(r.line, r.toStr(r.fs.v)), true
	}
}

func (r *awkRun) countFields() int {
	r.cut()
	return len(r.fields)
}

const awkFields = 1 << 20 // at most in a record

func (r *awkRun) setCount(n int) {
	if n < 0 || n > awkFields {
		panic(awkError{fail(exitUsage, "NF cannot be %d", n)})
	}
	r.cut()
	for len(r.fields) < n {
		r.fields = append(r.fields, "")
	}
	r.fields, r.stale = r.fields[:n], true
}

func (r *awkRun) field(n int) awkValue {
	switch {
	case n == 0:
		return fromInput(r.record())
	case n < 0:
		panic(awkError{fail(exitUsage, "there is no field %d", n)})
	}
	if r.cut(); n <= len(r.fields) {
		return fromInput(r.fields[n-1])
	}
	return awkValue{}
}

func (r *awkRun) setField(n int, s string) {
	switch {
	case n == 0:
		r.setRecord(s)
		return
	case n < 0 || n > awkFields:
		panic(awkError{fail(exitUsage, "there is no field %d", n)})
	}
	if r.cut(); n > len(r.fields) {
		r.setCount(n)
	}
	r.fields[n-1], r.stale = s, true
}

// split splits at FS or what is given in its place.
func (r *awkRun) split(s, sep string) []string {
	paragraph := r.rs.v.s == "" && r.rs.v.kind != awkNumber
	switch {
	case s == "":
		return nil
	case sep == " ":
		return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' || c == '\n' })
	case sep == "":
		return strings.Split(s, "")
	case utf8.RuneCountInString(sep) > 1 || sep == "\\":
		if paragraph {
			sep = "(" + sep + ")|\n"
		}
		return splitAt(r.compile(sep), s)
	case paragraph:
		return strings.FieldsFunc(strings.ReplaceAll(s, sep, "\n"), func(c rune) bool { return c == '\n' })
	}
	return strings.Split(s, sep)
}

// splitAt splits at matches that are not empty.
func splitAt(re *regexp.Regexp, s string) (out []string) {
	if s == "" {
		return nil
	}
	start := 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		if m[0] < m[1] {
			out = append(out, s[start:m[0]])
			start = m[1]
		}
	}
	return append(out, s[start:])
}
