package bench

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pfs-project/pfs/bench/child"
)

// A server that works and a client that works are told apart, and a group has all
// of its processes.
func TestMeter(t *testing.T) {
	// The shell waits; its child works until it is killed.
	p, err := child.Start("the shell", exec.Command("sh", "-c", "while :; do :; done & wait"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	groups := func() []int { return []int{p.Group()} }
	usage := Meter(groups)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for begun := usage(); ; time.Sleep(10 * time.Millisecond) {
		u := usage()
		if u.Server-begun.Server >= 50*time.Millisecond && u.Peak > 100<<10 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%+v, %+v", begun, u)
		}
	}
	none, begun := Meter(nil), time.Now()
	for from := none().Client; none().Client < from+20*time.Millisecond; {
		if time.Since(begun) > time.Minute {
			t.Fatal("this process uses nothing")
		}
	}
	if u := none(); u.Server != 0 || u.Peak != 0 {
		t.Errorf("%+v", u)
	}
}
