package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// mostAgain is how many failed tests of one run are given a second time. More
// are no accident of a busy machine.
const mostAgain = 3

var (
	// promises are the tests that look for what was lost, torn or out of order:
	// once is enough.
	promises = regexp.MustCompile(`^Test(Simulation|PowerCut|Damage|Crash|Linearizable|Soak|Hammer|Replay|Divergence)`)
	// final is what no second run excuses, whichever test is said to have said it.
	final = regexp.MustCompile(`WARNING: DATA RACE|race detected|^panic: |^fatal error: |^signal: |^\*\*\* Test |build failed`)
)

// again runs each test of c that failed once more, alone, unless they are many or
// one of them is such that a single failure counts. What passes then is flaky.
func (c *count) again(command []string, out io.Writer) error {
	tests := c.suspects()
	for _, f := range tests {
		fmt.Fprintf(out, "again, alone: %s of %s\n", f.test, f.pkg)
		second, err := test(alone(command, f), out)
		if err != nil {
			return err
		}
		if second.verdict() != nil {
			return nil // no need to run the others
		}
		fmt.Fprintf(out, "FLAKY: %s of %s failed, and passed when it was run again alone\n", f.test, f.pkg)
		c.forgive(f)
	}
	return nil
}

// suspects are the tests to run again, none if one failure counts.
func (c *count) suspects() []failure {
	if c.final {
		return nil
	}
	var tests []failure
	for _, f := range c.broken {
		if promises.MatchString(f.test) {
			return nil
		}
		if f.test != "" && !strings.Contains(f.test, "/") {
			tests = append(tests, f)
		}
	}
	for _, f := range c.broken {
		named := func(t failure) bool { return t.pkg == f.pkg }
		if f.test == "" && !slices.ContainsFunc(tests, named) {
			return nil // the package failed, and none of its tests
		}
	}
	if len(tests) > mostAgain {
		return nil
	}
	return tests
}

// alone is the command for the test of f and nothing else.
func alone(command []string, f failure) []string {
	one := slices.DeleteFunc(slices.Clone(command), func(arg string) bool {
		return strings.HasPrefix(arg, "-run=") || strings.HasPrefix(arg, "-skip=")
	})
	for i, arg := range one[2:] {
		if !strings.HasPrefix(arg, "-") {
			one = one[:2+i]
			break
		}
	}
	return append(one, "-run=^"+f.test+"$", f.pkg)
}

// forgive counts f and its parts as passed, and its package if nothing else of it
// failed.
func (c *count) forgive(f failure) {
	of := func(g failure) bool {
		return g.pkg == f.pkg && (g.test == f.test || strings.HasPrefix(g.test, f.test+"/"))
	}
	before := len(c.broken)
	c.broken = slices.DeleteFunc(c.broken, of)
	n := before - len(c.broken)
	c.passed, c.failed, c.flaky = c.passed+n, c.failed-n, c.flaky+n
	if !slices.ContainsFunc(c.broken, func(g failure) bool { return g.pkg == f.pkg && g.test != "" }) {
		c.broken = slices.DeleteFunc(c.broken, func(g failure) bool { return g.pkg == f.pkg })
	}
}
