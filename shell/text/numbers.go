package text

import (
	"bufio"
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

var seqSyntax = syntax{flags: "f:s:w", usage: 1, long: map[string]string{"format": "f", "separator": "s", "equal-width": "w"}}

// seq prints numbers from FIRST by INCREMENT to LAST. They are decimals of any size,
// added exactly.
func seq(ctx context.Context, c *Call, out *bufio.Writer) error {
	opts, nums, err := seqArgs(c.Args[1:])
	if err != nil {
		return err
	}
	switch len(nums) {
	case 0:
		return fail(1, "missing operand")
	case 1:
		nums = []string{"1", "1", nums[0]}
	case 2:
		nums = []string{nums[0], "1", nums[1]}
	case 3:
	default:
		return fail(1, "extra operand '%s'", nums[3])
	}
	var rats [3]*big.Rat
	for i, n := range nums {
		r, ok := new(big.Rat).SetString(n)
		if !ok || strings.ContainsAny(n, "/_pP") || len(n) > 64 {
			return fail(1, "invalid floating point argument: '%s'", n)
		}
		rats[i] = r
	}
	if rats[1].Sign() == 0 {
		return fail(1, "invalid Zero increment value: '%s'", nums[1])
	}
	places := max(decimals(nums[0]), decimals(nums[1]))
	show := func(r *big.Rat) string { return r.FloatString(places) }
	if f := last(opts, 'f', ""); f != "" {
		if show, err = floatFormat(f); err != nil {
			return err
		}
	} else if has(opts, 'w') {
		show = padded(places, rats[0], rats[2])
	}
	return sequence(ctx, out, rats[0], rats[1], rats[2], show, last(opts, 's', "\n"))
}

// seqArgs leaves negative numbers among the operands.
func seqArgs(args []string) (opts []option, nums []string, err error) {
	at := 0
	for at < len(args) && len(args[at]) > 1 && args[at][0] == '-' && strings.IndexByte("0123456789.", args[at][1]) < 0 {
		if args[at] == "-s" || args[at] == "-f" || args[at] == "--separator" || args[at] == "--format" {
			at++
		}
		at++
	}
	at = min(at, len(args))
	opts, nums, err = seqSyntax.parse(args[:at])
	return opts, append(nums, args[at:]...), err
}

func decimals(s string) int {
	_, d, _ := strings.Cut(s, ".")
	return len(d)
}

// padded prints all numbers as wide as the wider end.
func padded(places int, first, end *big.Rat) func(*big.Rat) string {
	width := max(len(first.FloatString(places)), len(end.FloatString(places)))
	return func(r *big.Rat) string {
		s := r.FloatString(places)
		sign := ""
		if strings.HasPrefix(s, "-") {
			sign, s = "-", s[1:]
		}
		return sign + strings.Repeat("0", max(width-len(sign)-len(s), 0)) + s
	}
}

// floatFormat takes a format of printf with one directive of a, e, f or g.
func floatFormat(f string) (func(*big.Rat) string, error) {
	plain := strings.ReplaceAll(f, "%%", "")
	_, directive, found := strings.Cut(plain, "%")
	verb := strings.TrimLeft(directive, "-+ #0123456789.'")
	if !found || verb == "" || strings.IndexByte("aefgEFG", verb[0]) < 0 || strings.Contains(verb, "%") {
		return nil, fail(1, "format '%s' needs one directive, as %%g or %%.2f", f)
	}
	if wide := directive[:len(directive)-len(verb)]; tooWide(wide) {
		return nil, fail(1, "format '%s': width and precision are %d at the most", f, widest)
	}
	return func(r *big.Rat) string {
		x, _ := r.Float64()
		return fmt.Sprintf(f, x)
	}, nil
}

func sequence(ctx context.Context, out *bufio.Writer, at, step, end *big.Rat, show func(*big.Rat) string, sep string) error {
	at = new(big.Rat).Set(at)
	whole := at.IsInt() && step.IsInt() && end.IsInt() && at.Num().IsInt64() && step.Num().IsInt64() && end.Num().IsInt64()
	for n := 0; at.Cmp(end)*step.Sign() <= 0; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if n > 0 {
			out.WriteString(sep) // its error stays in out
		}
		if _, err := out.WriteString(show(at)); err != nil {
			return err
		}
		if whole { // many times faster than fractions
			at.Num().Add(at.Num(), step.Num())
		} else {
			at.Add(at, step)
		}
		if at.Cmp(end)*step.Sign() > 0 {
			return out.WriteByte('\n')
		}
	}
	return nil
}

// expr evaluates an expression of words; exit status 1 if it is empty or 0.
func expr(_ context.Context, c *Call, out *bufio.Writer) error {
	e := &expression{words: c.Args[1:]}
	if len(e.words) > 0 && e.words[0] == "--" {
		e.words = e.words[1:]
	}
	if len(e.words) == 0 {
		return fail(exitUsage, "missing operand")
	}
	v, err := e.or()
	if err == nil && len(e.words) > 0 {
		err = fmt.Errorf("syntax error: unexpected argument '%s'", e.words[0])
	}
	if err != nil {
		return fail(exitUsage, "%s", err)
	}
	if err := put(out, []byte(v)); err != nil {
		return err
	}
	if null(v) {
		return status(1)
	}
	return nil
}

// expression is what is left of the words.
type expression struct{ words []string }

// null reports whether a value is empty or zero.
func null(v string) bool {
	n, ok := new(big.Int).SetString(v, 10)
	return v == "" || ok && n.Sign() == 0
}

func (e *expression) next(any ...string) (string, bool) {
	if len(e.words) > 0 {
		for _, w := range any {
			if e.words[0] == w {
				e.words = e.words[1:]
				return w, true
			}
		}
	}
	return "", false
}

func (e *expression) or() (string, error) {
	v, err := e.and()
	for err == nil {
		if _, ok := e.next("|"); !ok {
			break
		}
		var w string
		if w, err = e.and(); null(v) {
			if v = w; null(w) {
				v = "0"
			}
		}
	}
	return v, err
}

func (e *expression) and() (string, error) {
	v, err := e.comparison()
	for err == nil {
		if _, ok := e.next("&"); !ok {
			break
		}
		var w string
		if w, err = e.comparison(); null(v) || null(w) {
			v = "0"
		}
	}
	return v, err
}

func (e *expression) comparison() (string, error) {
	v, err := e.arithmetic(0)
	for err == nil {
		op, ok := e.next("<", "<=", "=", "==", "!=", ">=", ">")
		if !ok {
			break
		}
		var w string
		w, err = e.arithmetic(0)
		n := strings.Compare(v, w)
		x, okX := new(big.Int).SetString(v, 10)
		y, okY := new(big.Int).SetString(w, 10)
		if okX && okY {
			n = x.Cmp(y)
		}
		yes := map[string]bool{"<": n < 0, "<=": n <= 0, "=": n == 0, "==": n == 0, "!=": n != 0, ">=": n >= 0, ">": n > 0}[op]
		v = strconv.Itoa(truth(yes))
	}
	return v, err
}

// arithmetic is + and - (level 0), and * / % (level 1).
func (e *expression) arithmetic(level int) (string, error) {
	below, ops := e.matching, []string{"*", "/", "%"}
	if level == 0 {
		below, ops = func() (string, error) { return e.arithmetic(1) }, []string{"+", "-"}
	}
	v, err := below()
	for err == nil {
		op, ok := e.next(ops...)
		if !ok {
			break
		}
		var w string
		if w, err = below(); err == nil {
			v, err = calculate(op, v, w)
		}
	}
	return v, err
}

func calculate(op, v, w string) (string, error) {
	x, okX := new(big.Int).SetString(v, 10)
	y, okY := new(big.Int).SetString(w, 10)
	switch {
	case !okX || !okY:
		return "", fmt.Errorf("non-integer argument")
	case op == "+":
		x.Add(x, y)
	case op == "-":
		x.Sub(x, y)
	case op == "*":
		x.Mul(x, y)
	case y.Sign() == 0:
		return "", fmt.Errorf("division by zero")
	case op == "/":
		x.Quo(x, y)
	default:
		x.Rem(x, y)
	}
	return x.String(), nil
}

// matching is STRING : REGEX.
func (e *expression) matching() (string, error) {
	v, err := e.value()
	for err == nil {
		if _, ok := e.next(":"); !ok {
			break
		}
		var w string
		if w, err = e.value(); err == nil {
			v, err = matchPrefix(v, w)
		}
	}
	return v, err
}

// matchPrefix returns the first group of a match at the start, or its length.
func matchPrefix(s, pattern string) (string, error) {
	re, err := dialect{}.compile(`^\(` + pattern + `\)`)
	if err != nil {
		return "", err
	}
	m := re.FindStringSubmatch(s)
	switch {
	case m == nil && re.NumSubexp() > 1:
		return "", nil
	case m == nil:
		return "0", nil
	case re.NumSubexp() > 1:
		return m[2], nil
	}
	return strconv.Itoa(len([]rune(m[0]))), nil
}

func (e *expression) value() (string, error) {
	if _, ok := e.next("("); ok {
		v, err := e.or()
		if err == nil {
			if _, ok := e.next(")"); !ok {
				err = fmt.Errorf("syntax error: expecting ')'")
			}
		}
		return v, err
	}
	word, function := e.next("length", "substr", "index", "match", "+")
	if len(e.words) == 0 {
		if function {
			return "", fmt.Errorf("syntax error: missing argument after '%s'", word)
		}
		return "", fmt.Errorf("syntax error: missing argument")
	}
	if function && word != "+" {
		return e.function(word)
	}
	v := e.words[0]
	e.words = e.words[1:]
	return v, nil
}

// function evaluates length, substr, index and match.
func (e *expression) function(name string) (string, error) {
	args := make([]string, map[string]int{"length": 1, "substr": 3, "index": 2, "match": 2}[name])
	for i := range args {
		var err error
		if args[i], err = e.value(); err != nil {
			return "", err
		}
	}
	chars := []rune(args[0])
	switch name {
	case "length":
		return strconv.Itoa(len(chars)), nil
	case "index":
		return strconv.Itoa(indexAny(chars, args[1]) + 1), nil
	case "match":
		return matchPrefix(args[0], args[1])
	}
	from, err1 := strconv.Atoi(args[1])
	size, err2 := strconv.Atoi(args[2])
	if err1 != nil || err2 != nil || from < 1 || size < 1 || from > len(chars) {
		return "", nil
	}
	return string(chars[from-1 : from-1+min(size, len(chars)-from+1)]), nil
}

func indexAny(s []rune, any string) int {
	for i, r := range s {
		if strings.ContainsRune(any, r) {
			return i
		}
	}
	return -1
}
