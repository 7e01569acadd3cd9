package verbs

import (
	"path"
	"strings"

	"github.com/pfs-project/pfs/cli"
)

// filter says what of a tree is looked at: the first rule that fits a path does.
// What none fits is.
type filter struct{ rules []rule }

type rule struct {
	pattern string
	keep    bool
}

// ruleFlag takes the patterns of one flag, in the order of all flags.
type ruleFlag struct {
	f    *filter
	keep bool
}

// Set adds a pattern.
func (r ruleFlag) Set(pattern string) error {
	for part := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(part, ""); err != nil || pattern == "" {
			return cli.Usage("%q is not a pattern", pattern)
		}
	}
	r.f.rules = append(r.f.rules, rule{pattern, r.keep})
	return nil
}

// String is for help: nothing is the default.
func (r ruleFlag) String() string { return "" }

// Type is for help.
func (r ruleFlag) Type() string { return "glob" }

// out reports whether rel, which is a directory or not, is left out.
func (f *filter) out(rel string, dir bool) bool {
	for _, r := range f.rules {
		if r.fits(rel, dir) {
			return !r.keep
		}
	}
	return false
}

// fits follows rsync: a slash at the end means directories, one elsewhere the
// whole path from the root, none the last element. ** is any number of elements.
func (r rule) fits(rel string, dir bool) bool {
	p, onlyDir := strings.CutSuffix(r.pattern, "/")
	switch {
	case onlyDir && !dir:
		return false
	case !strings.Contains(p, "/"):
		rel = path.Base(rel)
	}
	return fits(strings.Split(strings.TrimPrefix(p, "/"), "/"), strings.Split(rel, "/"))
}

func fits(pattern, elems []string) bool {
	if len(pattern) == 0 {
		return len(elems) == 0
	}
	if pattern[0] == "**" {
		for n := range len(elems) + 1 {
			if fits(pattern[1:], elems[n:]) {
				return true
			}
		}
		return false
	}
	if len(elems) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], elems[0])
	return ok && err == nil && fits(pattern[1:], elems[1:])
}
