package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pfs-project/pfs/test/harness"
)

// TestInterruptedInput ends commands that wait for the rest of what is typed. They end
// at once, and store nothing of it.
func TestInterruptedInput(t *testing.T) {
	t.Parallel()
	bin := harness.Build(t)
	c := harness.Start(t, harness.Options{})
	c.Run("", "queue", "create", "/queuefs/q")
	for _, x := range []struct {
		args []string
		term int // the exit code after SIGTERM
	}{
		{[]string{"put", "-", "/memfs/x"}, 130},
		{[]string{"put", "--stream", "-", "/memfs/x"}, 130},
		{[]string{"write", "/memfs/x"}, 130},
		{[]string{"cp", "-", "pfs:/memfs/x"}, 130},
		{[]string{"put", "-", "/queuefs/q/enqueue"}, 130},
		{[]string{"queue", "put", "/queuefs/q", "-"}, 130},
		{[]string{"cat", "-"}, 130},
		{[]string{"grep", "x", "-"}, 130},
		{[]string{"tail"}, 130},
		{[]string{"sh"}, 143},
	} {
		for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: x.term} {
			in, typed, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(filepath.Join(bin, "pfs"), x.args...)
			cmd.Env, cmd.Stdin = append(os.Environ(), "PFS_URL="+c.Nodes[0].URL), in
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := typed.WriteString("touch /memfs/x"); err != nil {
				t.Fatal(err)
			}
			if !harness.Poll(time.Minute, func() bool { // until it has read that
				n, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ)
				return err == nil && n == 0
			}) {
				t.Errorf("%v reads nothing", x.args)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Error(err)
			}
			late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // its exit code tells
			_ = cmd.Wait()                                                         // what counts is the code
			late.Stop()
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Errorf("%v by %v: exit code %d, not %d", x.args, sig, code, want)
			}
			_, _ = in.Close(), typed.Close() // nothing more comes
		}
	}
	if out := c.Run("", "find", "/memfs"); out != "/memfs\n/memfs/README\n" {
		t.Errorf("there is %s", out)
	}
	if out := c.Run("", "cat", "/queuefs/q/size"); out != "0" {
		t.Errorf("%s messages", out)
	}
}
