package test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/test/harness"
)

// tools runs "pfs plugin" in a directory of its own, without a server.
type tools struct {
	t   *testing.T
	pfs string
	dir string
}

func newTools(t *testing.T) tools {
	return tools{t, filepath.Join(harness.Build(t), "pfs"), t.TempDir()}
}

// run returns both outputs and the exit code.
func (w tools) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(w.pfs, append([]string{"plugin"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.dir, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is run where success is expected.
func (w tools) must(args ...string) string {
	w.t.Helper()
	out, errs, code := w.run(args...)
	if code != 0 {
		w.t.Fatalf("pfs plugin %q: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// make builds a project.
func (w tools) make(project string) {
	w.t.Helper()
	cmd := exec.Command("make", "-s", "-C", project)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if b, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("make -C %s: %v\n%s", project, err, b)
	}
}

// edit changes a file of a project.
func (w tools) edit(name, old, fresh string) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	b, err := os.ReadFile(name)
	if err == nil && !strings.Contains(string(b), old) {
		w.t.Fatalf("%s does not have %q", name, old)
	}
	if err == nil {
		err = os.WriteFile(name, []byte(strings.ReplaceAll(string(b), old, fresh)), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// What "pfs plugin new" writes builds with make, keeps the laws and can be measured,
// in every language; a script is played, too.
func TestPluginNewTestBench(t *testing.T) {
	t.Parallel()
	for lang, example := range map[string]string{
		"c": "memory", "rust": "words", "wasm-c": "memory", "wasm-rust": "memory",
		"wasm-go": "memory", "wasi-go": "memory", "go": "memory", "python": "memory",
	} {
		t.Run(lang, func(t *testing.T) {
			w := newTools(t)
			var made struct{ Dir, Built string }
			if err := json.Unmarshal([]byte(w.must("-o", "json", "new", "--lang", lang, "--example", example, "my-notes")), &made); err != nil {
				t.Fatal(err)
			}
			w.make("my-notes")
			built := filepath.Join(made.Dir, made.Built)
			script := "create /f -> ok\nwrite /f \"hello\" -> 5\nread /f off=1 -> \"ello\"\n"
			if lang == "go" || lang == "wasm-go" { // the others have no offsets, or no limit but their memory
				script += "write /f \"x\" at=4000000000 -> too_large\nwrite /g \"x\" at=4000000000 -> too_large\nread /f -> \"hello\"\nread /g -> not_found\n"
			}
			if err := os.WriteFile(filepath.Join(w.dir, "first.txt"), []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			var report struct {
				Plugin  string
				Broken  int
				Laws    []struct{ OK bool }
				Scripts []struct {
					Name string
					OK   bool
				}
			}
			if err := json.Unmarshal([]byte(w.must("test", built, "--scripts", ".", "--json")), &report); err != nil {
				t.Fatal(err)
			}
			if report.Plugin != "my-notes" || report.Broken > 0 || len(report.Laws) < 10 || len(report.Scripts) != 1 || !report.Scripts[0].OK {
				t.Errorf("%+v", report)
			}
			var measured []struct {
				Plugin string
				Calls  []struct {
					Call   string
					P50    float64 `json:"p50_us"`
					Memfs  float64 `json:"builtin_p50_us"`
					Ratio  float64 `json:"ratio_p50"`
					Rounds int     `json:"calls"`
				}
				Rates []struct {
					What string
					MBs  float64 `json:"mb_s"`
				}
			}
			if err := json.Unmarshal([]byte(w.must("bench", built, "--for", "40ms", "--size", "2MB", "-o", "json")), &measured); err != nil {
				t.Fatal(err)
			}
			if len(measured) != 1 || measured[0].Plugin != "my-notes" || len(measured[0].Calls) != 4 || len(measured[0].Rates) != 2 {
				t.Fatalf("%+v", measured)
			}
			for _, c := range measured[0].Calls {
				if c.P50 <= 0 || c.Memfs <= 0 || c.Ratio <= 0 || c.Rounds < 20 {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// A plugin that loses a byte is found out, and told where.
func TestPluginTestFindsWhatIsWrong(t *testing.T) {
	w := newTools(t)
	w.must("new", "--lang", "python", "--example", "memory", "leaky", "here")
	w.edit("here/leaky.py", "+= data", "+= data[:300]")
	w.make("here")
	out, errs, code := w.run("test", "here/build/leaky.pyz")
	if code != 1 || !strings.Contains(out, "\nbroken  what is written is read\n") || !strings.Contains(out, "ok      list agrees with stat\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if !strings.Contains(errs, "pfs: leaky: ") || !strings.Contains(errs, "broken") {
		t.Error(errs)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"new", "--lang", "python", "leaky", "here"}, 6, "not empty"},
		{[]string{"new", "--lang", "cobol", "leaky"}, 2, "wasm-go"},
		{[]string{"new", "--lang", "c", "memfs"}, 2, "built-in"},
		{[]string{"new", "--lang", "c", "../x"}, 2, "name of a plugin"},
		{[]string{"test", "here/Makefile"}, 1, "no plugin"},
		{[]string{"test", "nowhere"}, 4, "nowhere"},
		{[]string{"test", "here/build/leaky.pyz", "--config", "colour=red"}, 1, "colour"},
		{[]string{"test", "here/build/leaky.pyz", "--memory", "much"}, 2, "memory"},
		{[]string{"test", "here/build/leaky.pyz", "--abi", "1"}, 2, "native library"},
		{[]string{"test", "here/build/leaky.pyz", "--scripts", "here"}, 2, "no script"},
	} {
		if out, errs, code := w.run(c.args...); code != c.code || !strings.Contains(errs, c.text) {
			t.Errorf("pfs plugin %q: exit code %d, expected %d with %q\n%s%s", c.args, code, c.code, c.text, out, errs)
		}
	}
}

// A plugin that crashes breaks the law under which it does, and its last words are
// shown; those of a module, too.
func TestPluginTestShowsCrashes(t *testing.T) {
	w := newTools(t)
	w.must("new", "--lang", "c", "--example", "hello", "mortal")
	w.edit("mortal/mortal.c", "const char *FSRead(void *p,", "#include <stdio.h>\nconst char *FSRead(void *p,")
	w.edit("mortal/mortal.c", "	if (off < 0) off = 0;", "	fprintf(stderr, \"my last words\\n\");\n	abort();")
	w.make("mortal")
	out, errs, code := w.run("test", "mortal/build/mortal.so")
	if code != 1 || !strings.Contains(out, "broken  reads follow io.ReaderAt\n        read /hello: the plugin crashed") || !strings.Contains(out, "my last words") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if !strings.Contains(out, "ok      a plugin says what it is\n") {
		t.Error(out)
	}
	if out, errs, code := w.run("bench", "mortal/build/mortal.so", "--for", "20ms"); !strings.Contains(out+errs, "crashed") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	w.must("new", "--lang", "wasm-go", "--example", "hello", "mortal", "module")
	w.edit("module/mortal/main.go", "func init() {", "func init() { println(\"my beginning\"); panic(\"my end\") }\nfunc init() {")
	w.make("module")
	out, errs, code = w.run("test", "module/build/mortal.wasm")
	if code != 1 || !strings.Contains(errs, "my beginning") || !strings.Contains(errs, "my end") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
