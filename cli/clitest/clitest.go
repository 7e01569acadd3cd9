// Package clitest runs commands of pfs in tests, against a server in memory.
package clitest

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/cli"
)

// Start starts a server in memory, which commands then talk to.
func Start(t *testing.T) *apitest.Server {
	t.Helper()
	s := apitest.StartUsual(t)
	TalkTo(t, s.URL)
	return s
}

// TalkTo has commands talk to the server at url.
func TalkTo(t *testing.T, url string) {
	t.Helper()
	t.Setenv("PFS_URL", url)
	t.Setenv("PFS_OUTPUT", "")
}

// Program is a program to run: its exit code.
type Program func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Of is the program whose commands root returns.
func Of(root func(*cli.Env) *cobra.Command) Program {
	return func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
		e := cli.New(stdin, stdout, stderr)
		return e.Run(ctx, root(e), args)
	}
}

// Ran is what a program did.
type Ran struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command line.
func (p Program) Run(t *testing.T, stdin string, args ...string) Ran {
	t.Helper()
	var out, err bytes.Buffer
	code := p(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return Ran{code, out.String(), err.String()}
}

// Must is Run where success is expected; it returns stdout.
func (p Program) Must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := p.Run(t, stdin, args...)
	if r.Code != 0 {
		t.Fatalf("pfs %q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Like reports whether got is want, where … in want is anything on one line.
func Like(want, got string) bool {
	re := strings.ReplaceAll(regexp.QuoteMeta(want), "…", `[^\n]*`)
	return regexp.MustCompile(`\A` + re + `\z`).MatchString(got)
}

// Step is a command line, split at spaces, and what is to come of it.
type Step struct {
	Args, Stdin    string
	Code           int
	Stdout, Stderr string
}

// Do runs a step.
func (p Program) Do(t *testing.T, s Step) {
	t.Helper()
	got := p.Run(t, s.Stdin, strings.Fields(s.Args)...)
	if got.Code != s.Code || !Like(s.Stdout, got.Stdout) || !Like(s.Stderr, got.Stderr) {
		t.Errorf("pfs %s\n got %d %q %q\nwant %d %q %q", s.Args, got.Code, got.Stdout, got.Stderr, s.Code, s.Stdout, s.Stderr)
	}
}
