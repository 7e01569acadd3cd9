package supervise

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
)

// A program of 32 bits, which has no filter, does not run unless it may start processes.
func TestShortChild(t *testing.T) {
	code := compiled(t, "short.c", "-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie")
	for _, may := range []bool{true, false} {
		c, err := Start(Command{Code: code, Processes: may, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			if may {
				t.Logf("this machine does not run it: %v", err)
				return
			}
			if !errors.Is(err, errShort) {
				t.Error(err)
			}
			continue
		}
		if got := output(t, c); got != "up\n" {
			t.Errorf("%q", got)
		}
		end(c, 0)
		if !may && !slices.Contains(c.Lacks(), "limits before the first instruction") {
			t.Error("it runs, without a filter")
		}
	}
}
