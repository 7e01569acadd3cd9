package shell

import (
	"context"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/interp"

	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/shell/text"
)

// What a number in a format asks for beyond what can be had is a mistake, and a
// negative precision is none.
func TestMeasuresOfPrintf(t *testing.T) {
	clitest.Start(t)
	want(t, "printf '%.*s|%.*d|%*s|%.2s\\n' -1 abc -3 7 -4 x abc", 0, "abc|7|x   |ab\n", "")
	for _, format := range []string{"%9999999999999999s", "%.9999999999999999s", "%99999999999999999999d", "%2000000x", "%.-1s", "%1.2.3s"} {
		want(t, "printf '"+format+"' abc; echo $?", 0, "1\n", "pfs: printf: "+format[:len(format)-1]+": width and precision are numbers, 1000000 at the most\n")
	}
	want(t, "printf '%*s' 9223372036854775807 abc; echo $?", 0, "1\n", "pfs: printf: %9223372036854775807: …\n")
}

// A fault of a command ends the command, with its stack on stderr.
func TestCommandThatPanics(t *testing.T) {
	clitest.Start(t)
	s, out, errs := started(t)
	s.tools["fall"] = func(context.Context, *text.Call) int { panic("tool") }
	s.own["drop"] = func(context.Context, interp.HandlerContext, stdio, []string) error { panic("own") }
	code := s.Run(t.Context(), Script{Name: "test", Text: strings.NewReader("fall; echo $?; drop; echo $?; env drop; echo $?; fall | cat; echo end")})
	if code != 0 || out.String() != "2\n2\n2\nend\n" {
		t.Errorf("got %d %q", code, out.String())
	}
	for _, said := range []string{"pfs: fall: internal error: tool\n", "pfs: drop: internal error: own\n", "panic_test.go"} {
		if !strings.Contains(errs.String(), said) {
			t.Errorf("stderr lacks %q: %s", said, errs.String())
		}
	}
}
