package verbs

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/cli"
)

// test is a part of an expression of find.
type test func(found) (bool, error)

// expression is what is left to parse.
type expression struct {
	f    *finder
	args []string
}

// parse takes the arguments of find apart and returns the paths.
func (f *finder) parse(args []string) (paths []string, err error) {
	n := 0
	for n < len(args) && args[n] != "!" && args[n] != "(" && (!strings.HasPrefix(args[n], "-") || args[n] == "-") {
		n++
	}
	paths = args[:n]
	if n == 0 {
		paths = []string{f.app.here()}
	}
	f.match = func(found) (bool, error) { return true, nil }
	if n == len(args) {
		return paths, nil
	}
	e := &expression{f, args[n:]}
	if f.match, err = e.or(); err == nil && len(e.args) > 0 {
		err = cli.Usage("find: unexpected %s", e.args[0])
	}
	return paths, err
}

// next takes one more argument.
func (e *expression) next() (string, bool) {
	if len(e.args) == 0 {
		return "", false
	}
	a := e.args[0]
	e.args = e.args[1:]
	return a, true
}

func (e *expression) or() (test, error) {
	left, err := e.and()
	for err == nil && len(e.args) > 0 && (e.args[0] == "-o" || e.args[0] == "-or") {
		e.args = e.args[1:]
		var right test
		l := left
		if right, err = e.and(); err == nil {
			left = func(f found) (bool, error) {
				if ok, err := l(f); ok || err != nil {
					return ok, err
				}
				return right(f)
			}
		}
	}
	return left, err
}

func (e *expression) and() (test, error) {
	left, err := e.not()
	for err == nil && len(e.args) > 0 && e.args[0] != "-o" && e.args[0] != "-or" && e.args[0] != ")" {
		if e.args[0] == "-a" || e.args[0] == "-and" {
			e.args = e.args[1:]
		}
		var right test
		l := left
		if right, err = e.not(); err == nil {
			left = func(f found) (bool, error) {
				if ok, err := l(f); !ok || err != nil {
					return ok, err
				}
				return right(f)
			}
		}
	}
	return left, err
}

func (e *expression) not() (test, error) {
	a, ok := e.next()
	switch {
	case !ok:
		return nil, cli.Usage("find: the expression ends too soon")
	case a == "!" || a == "-not":
		in, err := e.not()
		return func(f found) (bool, error) {
			ok, err := in(f)
			return !ok, err
		}, err
	case a == "(":
		in, err := e.or()
		if err != nil {
			return nil, err
		}
		if end, _ := e.next(); end != ")" {
			return nil, cli.Usage("find: a ( is not closed")
		}
		return in, nil
	}
	return e.primary(a)
}

// primary is one test or action.
func (e *expression) primary(name string) (test, error) {
	if act, ok := e.actions()[name]; ok {
		e.f.acts = e.f.acts || name != "-prune" && name != "-depth"
		return act()
	}
	make, ok := findTests[name]
	if !ok {
		return nil, cli.Usage("find: there is no %s; see: pfs find --help", name)
	}
	if name == "-empty" {
		return make(e.f, "")
	}
	value, ok := e.next()
	if !ok {
		return nil, cli.Usage("find: %s wants a value", name)
	}
	return make(e.f, value)
}

func yes(found) (bool, error) { return true, nil }

// findTests are the tests, by name.
var findTests = map[string]func(f *finder, value string) (test, error){
	"-name": func(_ *finder, v string) (test, error) {
		return globTest(v, func(f found) string { return path.Base(f.at) })
	},
	"-iname": func(_ *finder, v string) (test, error) {
		return globTest(strings.ToLower(v), func(f found) string { return strings.ToLower(path.Base(f.at)) })
	},
	"-path": func(_ *finder, v string) (test, error) {
		return globTest(strings.ReplaceAll(v, "/", "\x00"), func(f found) string { return strings.ReplaceAll(f.at, "/", "\x00") })
	},
	"-type": func(_ *finder, v string) (test, error) {
		if v != "f" && v != "d" && v != "l" {
			return nil, cli.Usage("find: -type is f, d or l, not %q", v)
		}
		return func(f found) (bool, error) { return modeText(f.info)[0] == strings.Replace(v, "f", "-", 1)[0], nil }, nil
	},
	"-size":  func(_ *finder, v string) (test, error) { return sizeTest(v) },
	"-mtime": func(_ *finder, v string) (test, error) { return ageTest(v, 24*time.Hour) },
	"-mmin":  func(_ *finder, v string) (test, error) { return ageTest(v, time.Minute) },
	"-newer": func(f *finder, v string) (test, error) {
		file, err := f.app.Path(v)
		if err != nil {
			return nil, err
		}
		var than time.Time
		return func(at found) (bool, error) {
			if than.IsZero() {
				i, err := f.c.Stat(f.ctx, file)
				if err != nil {
					return false, err
				}
				than = i.ModTime
			}
			return at.info.ModTime.After(than), nil
		}, nil
	},
	"-empty": func(f *finder, _ string) (test, error) { return f.empty, nil },
	"-maxdepth": func(f *finder, v string) (test, error) {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return nil, cli.Usage("find: -maxdepth wants a number, not %q", v)
		}
		f.max = int(n)
		return yes, nil
	},
	"-mindepth": func(f *finder, v string) (test, error) {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return nil, cli.Usage("find: -mindepth wants a number, not %q", v)
		}
		f.min = int(n)
		return yes, nil
	},
}

// globTest matches a part of the path. A slash in it has been hidden from path.Match,
// for which * ends at one.
func globTest(glob string, part func(found) string) (test, error) {
	glob = strings.ReplaceAll(glob, "[!", "[^")
	if _, err := path.Match(glob, ""); err != nil {
		return nil, cli.Usage("find: %q is no pattern", glob)
	}
	return func(f found) (bool, error) { return path.Match(glob, part(f)) }, nil
}

// signed takes +N, -N or N apart.
func signed(v string) (sign byte, digits string) {
	if v != "" && (v[0] == '+' || v[0] == '-') {
		return v[0], v[1:]
	}
	return 0, v
}

// compare compares as find does: +N more, -N less, N the same.
func compare(sign byte, got, want int64) bool {
	switch sign {
	case '+':
		return got > want
	case '-':
		return got < want
	}
	return got == want
}

func sizeTest(v string) (test, error) {
	sign, digits := signed(v)
	unit := int64(512)
	if n := len(digits) - 1; n > 0 {
		if u, ok := map[byte]int64{'c': 1, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[digits[n]]; ok {
			unit, digits = u, digits[:n]
		}
	}
	want, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil, cli.Usage("find: -size wants a number, as +10k, not %q", v)
	}
	return func(f found) (bool, error) { return compare(sign, (f.info.Size+unit-1)/unit, want), nil }, nil
}

func ageTest(v string, unit time.Duration) (test, error) {
	sign, digits := signed(v)
	want, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return nil, cli.Usage("find: an age is a number, as -1, not %q", v)
	}
	now := time.Now()
	return func(f found) (bool, error) {
		return compare(sign, int64(now.Sub(f.info.ModTime)/unit), want), nil
	}, nil
}

// empty matches files and directories with nothing in them.
func (f *finder) empty(at found) (bool, error) {
	if at.info.IsLink() || at.info.Control() {
		return false, nil
	}
	if !at.info.IsDir {
		return at.info.Size == 0, nil
	}
	page, err := f.c.Page(f.ctx, at.path, "", 1)
	return err == nil && len(page) == 0, err
}
