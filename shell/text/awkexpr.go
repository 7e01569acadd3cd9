package text

import (
	"math"
	"strings"
)

// exprOrGroup reads an expression, or a list in parentheses.
func (p *awkParser) exprOrGroup() awkNode { return p.ternary() }

// expr reads an expression.
func (p *awkParser) expr() awkNode {
	n := p.ternary()
	if n.group != nil {
		p.unexpected()
	}
	return n
}

// ternary reads assignments and ?:, which bind least.
func (p *awkParser) ternary() awkNode {
	cond := p.logic(0)
	switch {
	case cond.set != nil && p.is("=", "+=", "-=", "*=", "/=", "%=", "^="):
		op := strings.TrimSuffix(p.tok.kind, "=")
		p.step()
		p.breaks()
		return assignment(cond, op, p.expr().eval)
	case p.take("?"):
		p.breaks()
		yes := p.expr().eval
		p.breaks()
		p.want(":")
		p.breaks()
		no := p.expr().eval
		return awkNode{eval: func(r *awkRun) awkValue {
			if cond.eval(r).truth() {
				return yes(r)
			}
			return no(r)
		}}
	}
	return cond
}

func assignment(to awkNode, op string, value awkExpr) awkNode {
	return awkNode{eval: func(r *awkRun) awkValue {
		v := value(r)
		if op != "" {
			v = number(arithmetic(op, to.eval(r).num(), v.num()))
		}
		to.set(r, v)
		return v
	}}
}

func arithmetic(op string, x, y float64) float64 {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/", "%":
		if y == 0 {
			panic(awkError{fail(exitUsage, "division by zero")})
		}
		if op == "%" {
			return math.Mod(x, y)
		}
		return x / y
	}
	return math.Pow(x, y)
}

// logic reads || (level 0), && (1) and in (2).
func (p *awkParser) logic(level int) awkNode {
	op := []string{"||", "&&", "in"}[level]
	below := func() awkNode { return p.logic(level + 1) }
	if level == 2 {
		below = p.matching
	}
	left := below()
	for p.is(op) && !(op == "in" && p.noIn) {
		p.step()
		if op == "in" {
			left = p.member([]awkExpr{left.eval})
			continue
		}
		p.breaks()
		a, b := left.eval, below().eval
		left = awkNode{eval: func(r *awkRun) awkValue {
			if a(r).truth() == (op == "||") {
				return logical(op == "||")
			}
			return logical(b(r).truth())
		}}
	}
	return left
}

// member is "(keys) in array".
func (p *awkParser) member(keys []awkExpr) awkNode {
	array := p.variable(p.want("name"))
	return awkNode{eval: func(r *awkRun) awkValue {
		_, there := array(r).array()[r.key(keys)]
		return logical(there)
	}}
}

func (p *awkParser) matching() awkNode {
	left := p.comparison()
	for p.is("~", "!~") {
		want := p.tok.kind == "~"
		p.step()
		a, re := left.eval, p.pattern(p.comparison())
		left = awkNode{eval: func(r *awkRun) awkValue {
			s := r.toStr(a(r))
			return logical(re(r).MatchString(s) == want)
		}}
	}
	return left
}

func (p *awkParser) comparison() awkNode {
	left := p.joined()
	for {
		switch {
		case p.is("<", "<=", "==", "!=", ">=") || p.is(">") && !p.noGT:
			op := p.tok.kind
			p.step()
			a, b := left.eval, p.joined().eval
			left = awkNode{eval: func(r *awkRun) awkValue {
				x := a(r)
				return logical(compared(op, compareValues(x, b(r), r.toStr(r.convfmt.v))))
			}}
		case p.is("|") && p.getlineFollows():
			p.step()
			p.step()
			left = p.getline("|", left.eval)
		default:
			return left
		}
	}
}

// getlineFollows looks one word ahead.
func (p *awkParser) getlineFollows() bool {
	ahead := p.lex
	t, err := ahead.next(true)
	return err == nil && t.kind == "getline"
}

func compared(op string, n int) bool {
	switch op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case "==":
		return n == 0
	case "!=":
		return n != 0
	case ">=":
		return n >= 0
	}
	return n > 0
}

// joined reads expressions that stand side by side.
func (p *awkParser) joined() awkNode {
	left := p.sum(0)
	for p.is("number", "string", "name", "call", "builtin", "$", "(", "-", "+", "++", "--", "!") && left.group == nil {
		if p.is("-", "+", "!") {
			break
		}
		a, b := left.eval, p.sum(0).eval
		left = awkNode{eval: func(r *awkRun) awkValue {
			s := r.toStr(a(r))
			s += r.toStr(b(r))
			if len(s) > maxLine {
				panic(awkError{fail(exitUsage, "a string is longer than %d bytes", maxLine)})
			}
			return text(s)
		}}
	}
	return left
}

// sum reads + and - (level 0), and * / % (level 1).
func (p *awkParser) sum(level int) awkNode {
	below, ops := p.unary, []string{"*", "/", "%"}
	if level == 0 {
		below, ops = func() awkNode { return p.sum(1) }, []string{"+", "-"}
	}
	left := below()
	for p.is(ops...) {
		op := p.tok.kind
		p.step()
		a, b := left.eval, below().eval
		left = awkNode{eval: func(r *awkRun) awkValue {
			x := a(r).num()
			return number(arithmetic(op, x, b(r).num()))
		}}
	}
	return left
}

func (p *awkParser) unary() awkNode {
	op := p.tok.kind
	if !p.is("!", "-", "+") {
		return p.power()
	}
	p.step()
	e := p.unary().eval
	return awkNode{eval: func(r *awkRun) awkValue {
		v := e(r)
		switch op {
		case "!":
			return logical(!v.truth())
		case "-":
			return number(-v.num())
		}
		return number(v.num())
	}}
}

func (p *awkParser) power() awkNode {
	left := p.postfix()
	if !p.take("^") {
		return left
	}
	right := p.power
	if p.is("-", "+", "!") {
		right = p.unary
	}
	a, b := left.eval, right().eval
	return awkNode{eval: func(r *awkRun) awkValue {
		x := a(r).num()
		return number(math.Pow(x, b(r).num()))
	}}
}

// postfix reads ++ and --, on either side.
func (p *awkParser) postfix() awkNode {
	if p.is("++", "--") {
		op := p.tok.kind[:1]
		p.step()
		to := p.primary()
		if to.set == nil {
			p.unexpected()
		}
		return assignment(to, op, func(*awkRun) awkValue { return number(1) })
	}
	n := p.primary()
	if n.set == nil || !p.is("++", "--") {
		return n
	}
	op := p.tok.kind[:1]
	p.step()
	return awkNode{eval: func(r *awkRun) awkValue {
		old := n.eval(r).num()
		n.set(r, number(arithmetic(op, old, 1)))
		return number(old)
	}}
}

// primary reads what has no parts that bind less.
func (p *awkParser) primary() awkNode {
	t := p.tok
	switch t.kind {
	case "number", "string":
		p.step()
		v := text(t.text)
		if t.kind == "number" {
			v = number(fromInput(t.text).num())
		}
		return awkNode{eval: func(*awkRun) awkValue { return v }}
	case "regex":
		p.step()
		re := p.pattern(awkNode{regex: true, expr: t.text})
		return awkNode{regex: true, expr: t.text, eval: func(r *awkRun) awkValue { return logical(re(r).MatchString(r.record())) }}
	case "$":
		p.step()
		at := p.fieldNumber()
		return awkNode{
			eval: func(r *awkRun) awkValue { return r.field(int(at(r).num())) },
			set:  func(r *awkRun, v awkValue) { r.setField(int(at(r).num()), r.toStr(v)) },
		}
	case "(":
		return p.parentheses()
	case "builtin":
		return p.builtin()
	case "call":
		return p.call()
	case "getline":
		p.step()
		return p.getline("", nil)
	case "name":
		p.step()
		return p.name(t.text)
	}
	p.unexpected()
	return awkNode{}
}

// fieldNumber is what follows a "$": it binds closer than ++ behind it.
func (p *awkParser) fieldNumber() awkExpr {
	if p.is("++", "--") {
		return p.postfix().eval
	}
	if p.is("-", "+", "!") {
		return p.unary().eval
	}
	return p.primary().eval
}

func (p *awkParser) parentheses() awkNode {
	noIn, noGT := p.noIn, p.noGT
	p.noIn, p.noGT = false, false
	p.step()
	p.breaks()
	list := []awkExpr{p.expr().eval}
	for p.take(",") {
		p.breaks()
		list = append(list, p.expr().eval)
	}
	p.breaks()
	p.want(")")
	p.noIn, p.noGT = noIn, noGT
	switch {
	case len(list) == 1:
		return awkNode{eval: list[0]}
	case p.take("in"):
		return p.member(list)
	}
	return awkNode{eval: list[0], group: list}
}

// name reads a variable or an element of an array.
func (p *awkParser) name(name string) awkNode {
	if name == "NF" {
		return awkNode{
			eval: func(r *awkRun) awkValue { return number(float64(r.countFields())) },
			set:  func(r *awkRun, v awkValue) { r.setCount(int(v.num())) },
		}
	}
	slot := p.variable(name)
	if !p.is("[") {
		return awkNode{
			slot: slot,
			eval: func(r *awkRun) awkValue { return slot(r).v },
			set:  func(r *awkRun, v awkValue) { slot(r).v = v },
		}
	}
	p.step()
	key := p.subscript("]")
	return awkNode{
		eval: func(r *awkRun) awkValue {
			m, k := slot(r).array(), key(r)
			v, there := m[k]
			if !there {
				m[k] = v
			}
			return v
		},
		set: func(r *awkRun, v awkValue) { slot(r).array()[key(r)] = v },
	}
}

// subscript reads the keys of an element, up to the bracket.
func (p *awkParser) subscript(end string) func(r *awkRun) string {
	noIn, noGT := p.noIn, p.noGT
	p.noIn, p.noGT = false, false
	keys := []awkExpr{p.expr().eval}
	for p.take(",") {
		p.breaks()
		keys = append(keys, p.expr().eval)
	}
	p.noIn, p.noGT = noIn, noGT
	p.want(end)
	return func(r *awkRun) string { return r.key(keys) }
}

// variable finds a name: a parameter of the function, or a global variable.
func (p *awkParser) variable(name string) func(r *awkRun) *awkSlot {
	if i, ok := p.params[name]; ok {
		return func(r *awkRun) *awkSlot { return &r.frame[i] }
	}
	if p.globals[name] == nil {
		p.globals[name] = &awkSlot{}
	}
	s := p.globals[name]
	return func(*awkRun) *awkSlot { return s }
}

// getline reads the variable and file of getline; "|" has its command already.
func (p *awkParser) getline(kind string, source awkExpr) awkNode {
	var to *awkNode
	if p.is("name", "$") {
		n := p.primary()
		to = &n
	}
	if kind == "" && p.take("<") {
		kind, source = "<", p.primary().eval
	}
	return awkNode{eval: func(r *awkRun) awkValue {
		name := ""
		if source != nil {
			name = r.toStr(source(r))
		}
		line, n := r.getline(kind, name)
		if n == 1 && to != nil {
			to.set(r, fromInput(line))
		} else if n == 1 {
			r.setRecord(line)
		}
		return number(float64(n))
	}}
}
