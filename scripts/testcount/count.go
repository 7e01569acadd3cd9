package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// count is how tests ended.
type count struct {
	passed, failed, skipped int
	flaky                   int       // of those that passed: at the second time
	broken                  []failure // the tests and packages that failed
	final                   bool      // something was said that no second run excuses
}

// failure is a test that failed, or a package, whose test is "".
type failure struct{ pkg, test string }

func (f failure) String() string {
	if f.test == "" {
		return f.pkg
	}
	return f.test
}

func (c *count) add(e event) {
	switch e.Action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		c.broken = append(c.broken, failure{e.Package, e.Test})
	case "skip":
		c.skipped++
	}
}

func (c count) String() string {
	s := fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
	if c.flaky > 0 {
		s += fmt.Sprintf("; FLAKY: %d of the passed failed at first", c.flaky)
	}
	return s
}

// verdict is why the gate may not open.
func (c count) verdict() error {
	switch {
	case len(c.broken) > 0:
		names := make([]string, len(c.broken))
		for i, f := range c.broken {
			names[i] = f.String()
		}
		return fmt.Errorf("failed: %s", strings.Join(names, ", "))
	case c.skipped > 0:
		return fmt.Errorf("%d tests were skipped; here nothing may be", c.skipped)
	case c.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// save adds c to the file of counts.
func (c count) save(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, c.passed, c.failed, c.skipped, c.flaky)
	return errors.Join(err, f.Close())
}

// sum prints the counts of all runs on one line.
func sum(file string, out io.Writer) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all count
	for line := range strings.Lines(string(b)) {
		var c count
		if _, err := fmt.Sscan(line, &c.passed, &c.failed, &c.skipped, &c.flaky); err != nil {
			return err
		}
		all.passed, all.failed, all.skipped = all.passed+c.passed, all.failed+c.failed, all.skipped+c.skipped
		all.flaky += c.flaky
	}
	fmt.Fprintln(out, all)
	return nil
}
