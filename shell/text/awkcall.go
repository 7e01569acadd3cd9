package text

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// arguments reads (a, b).
func (p *awkParser) arguments() (list []awkNode) {
	noIn, noGT := p.noIn, p.noGT
	p.noIn, p.noGT = false, false
	p.want("(")
	for p.breaks(); !p.is(")"); p.breaks() {
		list = append(list, p.expr())
		p.breaks()
		if !p.take(",") {
			break
		}
	}
	p.want(")")
	p.noIn, p.noGT = noIn, noGT
	return list
}

// pattern is the regular expression that an expression is used as.
func (p *awkParser) pattern(n awkNode) func(r *awkRun) *regexp.Regexp {
	if n.regex {
		re, err := awkDialect().compile(n.expr)
		if err != nil {
			p.failAt(p.tok.line, "%s", err)
		}
		return func(*awkRun) *regexp.Regexp { return re }
	}
	return func(r *awkRun) *regexp.Regexp { return r.compile(r.toStr(n.eval(r))) }
}

func awkDialect() dialect { return dialect{extended: true, awk: true} }

// call reads a call of a function of the program.
func (p *awkParser) call() awkNode {
	line := p.tok.line
	f := p.named(p.want("call"))
	args := p.arguments()
	return awkNode{eval: func(r *awkRun) awkValue {
		if len(args) > f.params {
			panic(awkError{fail(exitUsage, "function %s takes %d arguments, line %d gives %d", f.name, f.params, line, len(args))})
		}
		frame := make([]awkSlot, f.params)
		for i, a := range args {
			if a.slot == nil {
				frame[i].v = a.eval(r)
				continue
			}
			given := a.slot(r)
			frame[i] = awkSlot{v: given.v, arr: given.arr, of: given}
		}
		return r.call(f, frame)
	}}
}

const awkDepth = 10000 // of calls inside calls

func (r *awkRun) call(f *awkFunc, frame []awkSlot) awkValue {
	if r.depth++; r.depth > awkDepth {
		panic(awkError{fail(exitUsage, "function %s: calls are nested more than %d deep", f.name, awkDepth)})
	}
	r.tick()
	outer := r.frame
	r.frame, r.result = frame, awkValue{}
	flow := f.body(r)
	r.frame = outer
	r.depth--
	if flow == flowExit || flow == flowNext || flow == flowNextFile {
		panic(awkLeave{flow})
	}
	result := r.result
	r.result = awkValue{}
	return result
}

// builtin reads a call of a function of awk. length stands without parentheses too.
func (p *awkParser) builtin() awkNode {
	name, line := p.tok.text, p.tok.line
	p.step()
	var args []awkNode
	if p.is("(") {
		args = p.arguments()
	} else if name != "length" {
		p.unexpected()
	}
	if arity := awkArity(name); len(args) < arity[0] || len(args) > arity[1] {
		p.failAt(line, "%s takes %d to %d arguments", name, arity[0], arity[1])
	}
	switch name {
	case "sub", "gsub":
		return p.substitution(name == "gsub", args, line)
	case "split":
		return p.splitting(args, line)
	case "length":
		if len(args) == 1 && args[0].slot != nil {
			slot := args[0].slot
			return awkNode{eval: func(r *awkRun) awkValue {
				if s := slot(r); s.arr != nil || s.of != nil && s.v.kind == awkNothing && s.of.arr != nil {
					return number(float64(len(s.array())))
				}
				return number(float64(utf8.RuneCountInString(r.toStr(slot(r).v))))
			}}
		}
	case "match":
		return p.matchCall(args)
	}
	exprs := make([]awkExpr, len(args))
	for i, a := range args {
		exprs[i] = a.eval
	}
	do := awkBuiltins()[name]
	return awkNode{eval: func(r *awkRun) awkValue { return do(r, r.values(exprs)) }}
}

// awkBuiltins are the functions that take values.
func awkBuiltins() map[string]func(r *awkRun, a []awkValue) awkValue {
	math1 := func(f func(float64) float64) func(*awkRun, []awkValue) awkValue {
		return func(_ *awkRun, a []awkValue) awkValue { return number(f(a[0].num())) }
	}
	return map[string]func(r *awkRun, a []awkValue) awkValue{
		"sin": math1(math.Sin), "cos": math1(math.Cos), "exp": math1(math.Exp), "log": math1(math.Log), "sqrt": math1(math.Sqrt),
		"int":     math1(math.Trunc),
		"atan2":   func(_ *awkRun, a []awkValue) awkValue { return number(math.Atan2(a[0].num(), a[1].num())) },
		"rand":    func(r *awkRun, _ []awkValue) awkValue { return number(r.random.Float64()) },
		"srand":   func(r *awkRun, a []awkValue) awkValue { return r.seedRandom(a) },
		"tolower": func(r *awkRun, a []awkValue) awkValue { return text(strings.ToLower(r.toStr(a[0]))) },
		"toupper": func(r *awkRun, a []awkValue) awkValue { return text(strings.ToUpper(r.toStr(a[0]))) },
		"sprintf": func(r *awkRun, a []awkValue) awkValue {
			return text(awkFormat(r.toStr(a[0]), a[1:], r.toStr(r.convfmt.v)))
		},
		"length": func(r *awkRun, a []awkValue) awkValue {
			s := r.record()
			if len(a) > 0 {
				s = r.toStr(a[0])
			}
			return number(float64(utf8.RuneCountInString(s)))
		},
		"index": func(r *awkRun, a []awkValue) awkValue {
			s := r.toStr(a[0])
			i := strings.Index(s, r.toStr(a[1]))
			return number(float64(utf8.RuneCountInString(s[:max(i, 0)]) + truth(i >= 0)))
		},
		"substr":  func(r *awkRun, a []awkValue) awkValue { return r.substr(a) },
		"system":  func(r *awkRun, a []awkValue) awkValue { return number(float64(r.system(r.toStr(a[0])))) },
		"close":   func(r *awkRun, a []awkValue) awkValue { return number(float64(r.close(r.toStr(a[0])))) },
		"fflush":  func(r *awkRun, _ []awkValue) awkValue { r.flush(); return number(0) },
		"systime": func(*awkRun, []awkValue) awkValue { return number(float64(time.Now().Unix())) },
	}
}

func (r *awkRun) seedRandom(a []awkValue) awkValue {
	old := r.seed
	r.seed = float64(time.Now().Unix())
	if len(a) > 0 {
		r.seed = a[0].num()
	}
	r.random = rand.New(rand.NewPCG(math.Float64bits(r.seed), 0))
	return number(old)
}

func (r *awkRun) substr(a []awkValue) awkValue {
	s := r.toStr(a[0])
	from := math.RoundToEven(a[1].num())
	to := math.Inf(1)
	if len(a) == 3 {
		to = from + math.RoundToEven(a[2].num())
	}
	chars := utf8.RuneCountInString(s)
	first, end := max(from, 1), min(to, float64(chars)+1)
	if !(first < end) {
		return text("")
	}
	if chars == len(s) {
		return text(s[int(first)-1 : int(end)-1])
	}
	start, at, n := 0, 0, 1
	for ; n < int(end); n++ {
		if n == int(first) {
			start = at
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return text(s[start:at])
}

// matchCall is match, which sets RSTART and RLENGTH.
func (p *awkParser) matchCall(args []awkNode) awkNode {
	s, re := args[0].eval, p.pattern(args[1])
	start, length := p.variable("RSTART"), p.variable("RLENGTH")
	return awkNode{eval: func(r *awkRun) awkValue {
		in := r.toStr(s(r))
		at, size := 0, -1
		if m := re(r).FindStringIndex(in); m != nil {
			at, size = utf8.RuneCountInString(in[:m[0]])+1, utf8.RuneCountInString(in[m[0]:m[1]])
		}
		start(r).v, length(r).v = number(float64(at)), number(float64(size))
		return number(float64(at))
	}}
}

// splitting is split(s, array, separator).
func (p *awkParser) splitting(args []awkNode, line int) awkNode {
	if args[1].slot == nil {
		p.failAt(line, "the second argument of split is an array")
	}
	sep := func(r *awkRun, s string) []string { return r.split(s, r.toStr(r.fs.v)) }
	if len(args) == 3 && args[2].regex {
		re := p.pattern(args[2])
		sep = func(r *awkRun, s string) []string { return splitAt(re(r), s) }
	} else if len(args) == 3 {
		sep = func(r *awkRun, s string) []string { return r.split(s, r.toStr(args[2].eval(r))) }
	}
	return awkNode{eval: func(r *awkRun) awkValue {
		parts := sep(r, r.toStr(args[0].eval(r)))
		m := args[1].slot(r).array()
		clear(m)
		for i, part := range parts {
			m[fmt.Sprint(i+1)] = fromInput(part)
		}
		return number(float64(len(parts)))
	}}
}

// substitution is sub and gsub.
func (p *awkParser) substitution(all bool, args []awkNode, line int) awkNode {
	re, with := p.pattern(args[0]), args[1].eval
	target := awkNode{
		eval: func(r *awkRun) awkValue { return text(r.record()) },
		set:  func(r *awkRun, v awkValue) { r.setRecord(v.s) },
	}
	if len(args) == 3 {
		if target = args[2]; target.set == nil {
			p.failAt(line, "the third argument of sub and gsub is a variable or a field")
		}
	}
	most := 1
	if all {
		most = -1
	}
	return awkNode{eval: func(r *awkRun) awkValue {
		find, put := re(r), r.toStr(with(r))
		s := r.toStr(target.eval(r))
		found := find.FindAllStringIndex(s, most)
		if len(found) == 0 {
			return number(0)
		}
		var b bytes.Buffer
		end := 0
		for _, m := range found {
			b.WriteString(s[end:m[0]])
			awkReplacement(&b, put, s[m[0]:m[1]])
			end = m[1]
			if b.Len() > maxLine {
				panic(awkError{fail(exitUsage, "a string is longer than %d bytes", maxLine)})
			}
		}
		b.WriteString(s[end:])
		target.set(r, text(b.String()))
		return number(float64(len(found)))
	}}
}

// awkReplacement writes what a match becomes: & is the match, \& an ampersand.
func awkReplacement(b *bytes.Buffer, with, match string) {
	for i := 0; i < len(with); i++ {
		switch {
		case with[i] == '\\' && i+1 < len(with) && (with[i+1] == '&' || with[i+1] == '\\'):
			i++
			b.WriteByte(with[i])
		case with[i] == '&':
			b.WriteString(match)
		default:
			b.WriteByte(with[i])
		}
	}
}
