package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
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
		case e.Action == "build-output":
			fmt.Fprint(out, e.Output)
		case e.Action == "output":
			c.final = c.final || final.MatchString(e.Output)
			said[e.Package+" "+e.Test] = append(said[e.Package+" "+e.Test], e.Output)
		case e.Test != "":
			c.add(e)
			show(out, e, said[e.Package+" "+e.Test])
			if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
				delete(said, e.Package+" "+e.Test)
			}
		case e.Action == "pass" || e.Action == "fail": // "skip" is a package without tests
			fmt.Fprintf(out, "%-4s %7.1fs %s\n", e.Action, e.Elapsed, e.Package)
			if e.Action == "fail" {
				c.broken = append(c.broken, failure{pkg: e.Package})
				c.final = cutOff(out, e.Package, said) || c.final
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

// cutOff prints what a package and those of its tests said that have not ended,
// and whether there is such a test: the process has ended, by a panic or an exit.
func cutOff(out io.Writer, pkg string, said map[string][]string) (cut bool) {
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if test, of := strings.CutPrefix(key, pkg+" "); of {
			fmt.Fprint(out, strings.Join(said[key], ""))
			cut = cut || test != ""
		}
	}
	return cut
}
