package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// suite is a module whose tests end as their names say.
const suite = `package suite

import (
	"os"
	"syscall"
	"testing"
)

func once(t *testing.T, file string) {
	if _, err := os.Stat(file); err != nil {
		os.WriteFile(file, nil, 0o600)
		t.Error("only now")
	}
}

func TestPasses(t *testing.T) { t.Run("part", func(*testing.T) {}) }
func TestOnce(t *testing.T) { t.Run("part", func(t *testing.T) { once(t, "once") }) }
func TestAlways(t *testing.T) { t.Error("always") }
func TestSkipped(t *testing.T) { t.Skip("no such machine") }
func TestPanicOnce(t *testing.T) {
	if _, err := os.Stat("panic"); err != nil {
		os.WriteFile("panic", nil, 0o600)
		panic("now")
	}
}
func TestRace(t *testing.T) { os.Stderr.WriteString("WARNING: DATA RACE\n") }
func TestExit(t *testing.T) { os.Exit(3) }
func TestKilled(t *testing.T) { syscall.Kill(os.Getpid(), syscall.SIGKILL) }
func TestGoDies(t *testing.T) { syscall.Kill(os.Getppid(), syscall.SIGKILL) }
func TestPowerCutOnce(t *testing.T) { once(t, "cut") }
func TestA(t *testing.T) { once(t, "a") }
func TestB(t *testing.T) { once(t, "b") }
func TestC(t *testing.T) { once(t, "c") }
`

func TestRun(t *testing.T) {
	for _, c := range []struct {
		tests, count, fails string
		runs                int
	}{
		{"Passes", "2 passed, 0 failed, 0 skipped", "", 1},
		{"Passes|Once", "4 passed, 0 failed, 0 skipped; FLAKY: 2 of the passed failed at first", "", 2},
		{"Once|Always", "2 passed, 1 failed, 0 skipped; FLAKY: 2 of the passed failed at first", "failed: TestAlways", 3},
		{"Passes|Skipped", "2 passed, 0 failed, 1 skipped", "1 tests were skipped", 1},
		{"PanicOnce", "0 passed, 1 failed, 0 skipped", "failed: TestPanicOnce", 1},
		{"Once|Race", "1 passed, 2 failed, 0 skipped", "failed: TestOnce/part", 1},
		{"Once|Exit", "0 passed, 2 failed, 0 skipped", "failed: TestOnce/part", 1},
		{"Once|Killed", "0 passed, 2 failed, 0 skipped", "failed: TestOnce/part", 1},
		{"PowerCutOnce", "0 passed, 1 failed, 0 skipped", "failed: TestPowerCutOnce", 1},
		{"A|B|C", "3 passed, 0 failed, 0 skipped; FLAKY: 3 of the passed failed at first", "", 4},
		{"A|B|C|Once", "0 passed, 5 failed, 0 skipped", "failed: ", 1},
		{"None", "0 passed, 0 failed, 0 skipped", "no test ran", 1},
	} {
		t.Run(c.tests, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"go.mod": "module suite\n", "suite_test.go": suite} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			var out strings.Builder
			err := run([]string{"counts", "go", "test", "-count=1", "-run=^Test(" + c.tests + ")$", "."}, &out)
			if (err == nil) != (c.fails == "") || err != nil && !strings.HasPrefix(err.Error(), c.fails) {
				t.Errorf("%v, want %q\n%s", err, c.fails, &out)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != c.count {
				t.Errorf("%q, want %q", got, c.count)
			}
			if got := strings.Count(out.String(), "again, alone: "); c.runs != got+1 {
				t.Errorf("%d runs, want %d:\n%s", got+1, c.runs, &out)
			}
			var total strings.Builder
			if err := run([]string{"-sum", "counts"}, &total); err != nil || strings.TrimSpace(total.String()) != c.count {
				t.Errorf("the sum is %q, %v", &total, err)
			}
		})
	}
}

// A go command that dies has not run all tests, whatever those were that it ran.
func TestGoDies(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": "module suite\n", "suite_test.go": suite} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := run([]string{"counts", "go", "test", "-count=1", "-run=^Test(Once|GoDies)$", "."}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
}

// A build that fails is no failed test, and is told.
func TestBuildFails(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": "module suite\n", "x_test.go": "package suite\nvar x int = \"\"\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := run([]string{"counts", "go", "test", "."}, &out); err == nil || !strings.Contains(out.String(), "cannot use") {
		t.Errorf("%v\n%s", err, &out)
	}
}
