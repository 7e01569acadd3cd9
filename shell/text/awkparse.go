package text

import (
	"fmt"
	"slices"
	"strings"
)

// awkExpr and awkStmt are what parts of a program become.
type (
	awkExpr func(r *awkRun) awkValue
	awkStmt func(r *awkRun) awkFlow
)

// awkFlow is where a program goes on behind a statement.
type awkFlow int

const (
	flowOn awkFlow = iota
	flowBreak
	flowContinue
	flowNext
	flowNextFile
	flowReturn
	flowExit
)

// awkNode is an expression while the parser looks at it.
type awkNode struct {
	eval  awkExpr
	set   func(r *awkRun, v awkValue) // of what can be assigned
	slot  func(r *awkRun) *awkSlot    // of a name alone
	regex bool                        // a literal /re/
	expr  string                      // of it
	group []awkExpr                   // of (a, b)
}

// awkRule is a pattern with an action.
type awkRule struct {
	from, to awkExpr
	do       awkStmt
	inside   bool
}

// awkFunc is a function of the program.
type awkFunc struct {
	name   string
	params int
	body   awkStmt
	line   int // of its first call, until it is defined
}

// awkProgram is a whole program.
type awkProgram struct {
	begin, end []awkStmt
	rules      []*awkRule
	globals    map[string]*awkSlot
	funcs      map[string]*awkFunc
}

// awkParser reads a program, and makes closures of it at once.
type awkParser struct {
	*awkProgram
	lex    awkLexer
	tok    awkToken
	before string         // the kind of the token before
	params map[string]int // of the function that is read
	noIn   bool           // "in" ends an expression: for (x in a)
	noGT   bool           // ">" ends an expression: print > file
	loops  int
}

// syntaxError stops a parser.
type syntaxError struct{ error }

// parseAwk reads a program.
func parseAwk(source string) (prog *awkProgram, err error) {
	p := &awkParser{awkProgram: &awkProgram{globals: map[string]*awkSlot{}, funcs: map[string]*awkFunc{}}, lex: awkLexer{in: source, line: 1}}
	defer func() {
		if stopped, ok := recover().(syntaxError); ok {
			prog, err = nil, stopped.error
		}
	}()
	p.step()
	for p.newlines(); p.tok.kind != "end"; p.newlines() {
		p.item()
	}
	for _, f := range p.funcs {
		if f.body == nil {
			p.failAt(f.line, "function %s is not defined", f.name)
		}
	}
	return p.awkProgram, nil
}

func (p *awkParser) failAt(line int, format string, args ...any) {
	panic(syntaxError{fmt.Errorf("syntax error at source line %d: %s", line, fmt.Sprintf(format, args...))})
}

func (p *awkParser) unexpected() {
	what := p.tok.kind
	if p.tok.text != "" {
		what = p.tok.text
	}
	p.failAt(p.tok.line, "unexpected %s", what)
}

// step goes to the next word.
func (p *awkParser) step() {
	p.before = p.tok.kind
	behind := slices.Contains([]string{"number", "string", "name", "regex", "builtin", ")", "]", "$", "++", "--"}, p.tok.kind)
	t, err := p.lex.next(!behind)
	if err != nil {
		panic(syntaxError{err})
	}
	p.tok = t
}

func (p *awkParser) is(kinds ...string) bool { return slices.Contains(kinds, p.tok.kind) }

func (p *awkParser) take(kind string) bool {
	if p.tok.kind != kind {
		return false
	}
	p.step()
	return true
}

func (p *awkParser) want(kind string) string {
	text := p.tok.text
	if !p.take(kind) {
		p.unexpected()
	}
	return text
}

func (p *awkParser) newlines() {
	for p.is("newline", ";") {
		p.step()
	}
}

func (p *awkParser) breaks() {
	for p.is("newline") {
		p.step()
	}
}

// item reads a rule or a function.
func (p *awkParser) item() {
	switch {
	case p.is("function", "func"):
		p.function()
		return
	case p.take("BEGIN"):
		p.begin = append(p.begin, p.block())
		return
	case p.take("END"):
		p.end = append(p.end, p.block())
		return
	}
	rule := &awkRule{}
	if !p.is("{") {
		rule.from = p.expr().eval
		if p.take(",") {
			p.breaks()
			rule.to = p.expr().eval
		}
	}
	if p.is("{") {
		rule.do = p.block()
	} else {
		rule.do = func(r *awkRun) awkFlow { r.print(r.out(), r.record()); return flowOn }
	}
	p.rules = append(p.rules, rule)
}

func (p *awkParser) function() {
	p.step()
	name := p.tok.text
	if !p.take("call") {
		p.want("name")
	}
	f := p.named(name)
	if f.body != nil {
		p.failAt(p.tok.line, "function %s is defined twice", name)
	}
	p.want("(")
	p.params = map[string]int{}
	for !p.is(")") {
		p.params[p.want("name")] = len(p.params)
		if !p.take(",") {
			break
		}
		p.breaks()
	}
	p.want(")")
	p.breaks()
	f.params = len(p.params)
	f.body = p.block()
	p.params = nil
}

// named returns a function that may be defined later.
func (p *awkParser) named(name string) *awkFunc {
	if p.funcs[name] == nil {
		p.funcs[name] = &awkFunc{name: name, line: p.tok.line}
	}
	return p.funcs[name]
}

// block reads { ... }.
func (p *awkParser) block() awkStmt {
	p.want("{")
	var all []awkStmt
	for p.newlines(); !p.is("}"); p.newlines() {
		if p.is("end") {
			p.unexpected()
		}
		all = append(all, p.statement())
	}
	p.step()
	return sequenceOf(all)
}

func sequenceOf(all []awkStmt) awkStmt {
	if len(all) == 1 {
		return all[0]
	}
	return func(r *awkRun) awkFlow {
		for _, s := range all {
			if f := s(r); f != flowOn {
				return f
			}
		}
		return flowOn
	}
}

// statement reads one statement and its end.
func (p *awkParser) statement() awkStmt {
	line := p.tok.line
	read := map[string]func() awkStmt{
		"{": p.block, "if": p.ifElse, "while": p.while, "for": p.forLoop, "do": p.doWhile,
		";": func() awkStmt { p.step(); return func(*awkRun) awkFlow { return flowOn } },
	}[p.tok.kind]
	if read != nil {
		return read()
	}
	s := p.simple()
	if !p.is(";", "newline", "}", "end") {
		p.failAt(line, "unexpected %s", p.tok.kind+" "+p.tok.text)
	}
	if p.is(";", "newline") {
		p.step()
	}
	return s
}

// simple reads a statement without a block.
func (p *awkParser) simple() awkStmt {
	words := map[string]awkFlow{"break": flowBreak, "continue": flowContinue, "next": flowNext, "nextfile": flowNextFile}
	kind := p.tok.kind
	if flow, ok := words[kind]; ok {
		p.step()
		return func(*awkRun) awkFlow { return flow }
	}
	switch kind {
	case "print", "printf":
		return p.printing()
	case "delete":
		return p.deleting()
	case "exit", "return":
		return p.leaving(kind)
	}
	e := p.expr().eval
	return func(r *awkRun) awkFlow { e(r); return flowOn }
}

func (p *awkParser) leaving(kind string) awkStmt {
	p.step()
	var value awkExpr
	if !p.is(";", "newline", "}", "end") {
		value = p.expr().eval
	}
	if kind == "return" {
		return func(r *awkRun) awkFlow {
			r.result = awkValue{}
			if value != nil {
				r.result = value(r)
			}
			return flowReturn
		}
	}
	return func(r *awkRun) awkFlow {
		if value != nil {
			r.status = int(value(r).num()) & 255
		}
		return flowExit
	}
}

func (p *awkParser) deleting() awkStmt {
	p.step()
	slot := p.variable(p.want("name"))
	if !p.take("[") {
		return func(r *awkRun) awkFlow { clear(slot(r).array()); return flowOn }
	}
	key := p.subscript("]")
	return func(r *awkRun) awkFlow { delete(slot(r).array(), key(r)); return flowOn }
}

// printing reads print and printf with their redirections.
func (p *awkParser) printing() awkStmt {
	formatted := p.take("printf")
	if !formatted {
		p.step()
	}
	p.noGT = true
	var args []awkExpr
	if !p.is(";", "newline", "}", "end", ">", ">>", "|") {
		first := p.exprOrGroup()
		if args = first.group; args == nil {
			args = []awkExpr{first.eval}
			for p.take(",") {
				p.breaks()
				args = append(args, p.expr().eval)
			}
		}
	}
	p.noGT = false
	to := func(r *awkRun) awkSink { return r.out() }
	if kind := p.tok.kind; p.is(">", ">>", "|") {
		p.step()
		name := p.joined().eval
		to = func(r *awkRun) awkSink { return r.sink(kind, r.toStr(name(r))) }
	}
	if formatted && len(args) == 0 {
		p.failAt(p.tok.line, "printf without a format")
	}
	return func(r *awkRun) awkFlow {
		if formatted {
			w := r.values(args)
			r.write(to(r), awkFormat(r.toStr(w[0]), w[1:], r.toStr(r.convfmt.v)))
			return flowOn
		}
		if len(args) == 0 {
			r.print(to(r), r.record())
			return flowOn
		}
		parts := make([]string, len(args))
		for i, v := range r.values(args) {
			parts[i] = v.str(r.toStr(r.ofmt.v))
		}
		r.print(to(r), strings.Join(parts, r.toStr(r.ofs.v)))
		return flowOn
	}
}

func (p *awkParser) condition() awkExpr {
	p.want("(")
	e := p.expr().eval
	p.want(")")
	return e
}

// body reads the statement of a loop or branch.
func (p *awkParser) body() awkStmt {
	p.breaks()
	if p.take(";") {
		return func(*awkRun) awkFlow { return flowOn }
	}
	return p.statement()
}

func (p *awkParser) ifElse() awkStmt {
	p.step()
	cond := p.condition()
	yes := p.body()
	lex, tok, before := p.lex, p.tok, p.before
	p.newlines()
	if !p.take("else") {
		p.lex, p.tok, p.before = lex, tok, before
		return func(r *awkRun) awkFlow {
			if cond(r).truth() {
				return yes(r)
			}
			return flowOn
		}
	}
	no := p.body()
	return func(r *awkRun) awkFlow {
		if cond(r).truth() {
			return yes(r)
		}
		return no(r)
	}
}

func (p *awkParser) while() awkStmt {
	p.step()
	return loopOf(nil, p.condition(), nil, p.body(), false)
}

func (p *awkParser) doWhile() awkStmt {
	p.step()
	do := p.body()
	p.newlines()
	p.want("while")
	return loopOf(nil, p.condition(), nil, do, true)
}

// loopOf is a loop with parts that may be nil.
func loopOf(start awkStmt, cond awkExpr, step, do awkStmt, first bool) awkStmt {
	return func(r *awkRun) awkFlow {
		if start != nil {
			start(r)
		}
		for once := first; once || cond == nil || cond(r).truth(); once = false {
			r.tick()
			if f := do(r); f == flowBreak {
				break
			} else if f != flowOn && f != flowContinue {
				return f
			}
			if step != nil {
				step(r)
			}
		}
		return flowOn
	}
}

func (p *awkParser) forLoop() awkStmt {
	p.step()
	p.want("(")
	if p.is("name") {
		lex, tok, before := p.lex, p.tok, p.before
		name := p.want("name")
		if p.take("in") && p.is("name") {
			array := p.variable(p.want("name"))
			if p.take(")") {
				return forIn(p.variable(name), array, p.body())
			}
		}
		p.lex, p.tok, p.before = lex, tok, before
	}
	var start, step awkStmt
	var cond awkExpr
	if !p.is(";") {
		start = p.simple()
	}
	p.want(";")
	p.breaks()
	if !p.is(";") {
		cond = p.expr().eval
	}
	p.want(";")
	p.breaks()
	if !p.is(")") {
		step = p.simple()
	}
	p.want(")")
	return loopOf(start, cond, step, p.body(), false)
}

func forIn(name, array func(*awkRun) *awkSlot, do awkStmt) awkStmt {
	return func(r *awkRun) awkFlow {
		m := array(r).array()
		for _, key := range awkKeys(m) {
			if _, there := m[key]; !there {
				continue // deleted by the loop
			}
			r.tick()
			name(r).v = fromInput(key)
			if f := do(r); f == flowBreak {
				break
			} else if f != flowOn && f != flowContinue {
				return f
			}
		}
		return flowOn
	}
}
