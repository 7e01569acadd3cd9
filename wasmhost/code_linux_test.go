package wasmhost

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the system forbids to make code the log says what that means.
func TestInterpretedIsSaid(t *testing.T) {
	if os.Getenv("PFS_TEST_NO_CODE") == "" { // it is forbidden for good
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestInterpretedIsSaid$")
		cmd.Env = append(os.Environ(), "PFS_TEST_NO_CODE=1")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, b)
		}
		return
	}
	for _, forbidden := range []bool{false, true} {
		if forbidden {
			if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
				t.Logf("a kernel before Linux 6.3: %v", err)
				return
			}
		}
		var b bytes.Buffer
		h, err := New("", nil, slog.New(slog.NewTextHandler(&b, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(b.String(), "interpreted"); said != forbidden {
			t.Errorf("forbidden %v: %s", forbidden, b.String())
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
