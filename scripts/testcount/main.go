// Command testcount reads "go test -json" from stdin, prints a line for each
// package and all that a failed or skipped test said, and adds the counts to
// the file that is its argument. A failure or a skip makes it fail. With -sum
// it prints the sum of the file.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// count is how tests ended.
type count struct {
	passed, failed, skipped int
	broken                  []string // the names of those that failed
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 2 && args[0] == "-sum" {
		return sum(args[1], out)
	}
	if len(args) != 1 {
		return fmt.Errorf("usage: go test -json … | testcount FILE, or testcount -sum FILE")
	}
	c, err := read(in, out)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, c.passed, c.failed, c.skipped); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
	switch {
	case len(c.broken) > 0:
		return fmt.Errorf("failed: %s", strings.Join(c.broken, ", "))
	case c.skipped > 0:
		return fmt.Errorf("%d tests were skipped; here nothing may be", c.skipped)
	case c.passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

// read counts the tests of in. Output of a test is kept until it is known
// whether anybody needs it; lines that begin with a report's mark always are.
func read(in io.Reader, out io.Writer) (c count, err error) {
	said := map[string][]string{}
	lines := bufio.NewReader(in)
	for {
		line, rerr := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			fmt.Fprintf(out, "%s", line)
		case e.Action == "output" || e.Action == "build-output":
			said[e.Package+" "+e.Test] = append(said[e.Package+" "+e.Test], e.Output)
		case e.Test != "":
			c.add(e.Action, e.Test)
			show(out, e, said[e.Package+" "+e.Test])
			if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
				delete(said, e.Package+" "+e.Test)
			}
		case e.Action == "pass" || e.Action == "fail": // "skip" is a package without tests
			fmt.Fprintf(out, "%-4s %7.1fs %s\n", e.Action, e.Elapsed, e.Package)
			if e.Action == "fail" {
				c.broken = append(c.broken, e.Package)
				cutOff(out, e.Package, said)
			}
		}
		if rerr == io.EOF {
			return c, nil
		}
		if rerr != nil {
			return c, rerr
		}
	}
}

func (c *count) add(action, test string) {
	switch action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		c.broken = append(c.broken, test)
	case "skip":
		c.skipped++
	}
}

// show prints what a failed or skipped test said, and the figures of the
// black-box tests.
func show(out io.Writer, e event, said []string) {
	switch {
	case e.Action == "fail" || e.Action == "skip":
		fmt.Fprint(out, strings.Join(said, ""))
	case e.Action == "pass" && strings.HasSuffix(e.Package, "/test"):
		for _, s := range said {
			if strings.HasPrefix(s, "    ") || strings.HasPrefix(s, "---") {
				fmt.Fprint(out, s)
			}
		}
	}
}

// cutOff prints what a package and those of its tests said that have not ended:
// the process has, by a panic or an exit.
func cutOff(out io.Writer, pkg string, said map[string][]string) {
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if strings.HasPrefix(key, pkg+" ") {
			fmt.Fprint(out, strings.Join(said[key], ""))
		}
	}
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
		if _, err := fmt.Sscan(line, &c.passed, &c.failed, &c.skipped); err != nil {
			return err
		}
		all.passed, all.failed, all.skipped = all.passed+c.passed, all.failed+c.failed, all.skipped+c.skipped
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", all.passed, all.failed, all.skipped)
	return nil
}
