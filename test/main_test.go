package test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// TestMain builds the programs once for all tests, unless that was done.
func TestMain(m *testing.M) {
	code, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withPrograms(run func() int) (int, error) {
	if os.Getenv(harness.BinEnv) != "" {
		return run(), nil
	}
	dir, err := os.MkdirTemp("", "pfs-test-bin-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := harness.Compile("..", dir); err != nil {
		return 0, err
	}
	if err := os.Setenv(harness.BinEnv, dir); err != nil {
		return 0, err
	}
	return run(), nil
}
