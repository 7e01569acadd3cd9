package text

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSortInParts sorts much more than its memory holds, so that hundreds of parts
// are merged in several rounds; the order of equal lines stays.
func TestSortInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var in strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&in, "%d %x line %d\n", r.IntN(500), r.Uint32(), i)
	}
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte(in.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{}, {"-k1,1n"}, {"-s", "-k1,1n"}, {"-k1,1nr", "-k2"}, {"-u", "-k1,1"}, {"-r"}} {
		cmd := exec.Command("sort", append(append([]string{}, flags...), file)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
		want, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, memory := range []string{"4K", "64K", "64M"} {
			d := &disk{files: map[string]string{"in": in.String()}}
			got, told, status := d.run("", append(append([]string{"sort", "-S", memory}, flags...), "in")...)
			if got != string(want) || status != 0 {
				t.Errorf("sort -S %s %v is not the order of this machine's sort (status %d, %s)", memory, flags, status, told)
			}
		}
	}
}

// TestLongLine passes a line just below the limit, and refuses one above it.
func TestLongLine(t *testing.T) {
	for _, args := range [][]string{{"sort"}, {"sed", ""}, {"awk", "1"}, {"uniq"}, {"rev"}, {"cut", "-b1-"}, {"paste"}} {
		for over, want := range []int{0, 1} {
			in := strings.Repeat("x", maxLine-1+2*over) + "\n"
			_, told, status := (&disk{}).run(in, args...)
			if (status != 0) != (want != 0) {
				t.Errorf("%v with a line of %d bytes: status %d, %s", args, len(in), status, told)
			}
		}
	}
}

// TestFiles looks at what tools write: through Create, whole, and nothing else.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		args []string
		file string
		want string
	}{
		{[]string{"sort", "-o", "left", "left"}, "left", "1 a\n2 b\n3 c\n3 d\n5 e\n"},
		{[]string{"sed", "-i", "s/a/A/", "left", "noend"}, "left", "1 A\n2 b\n3 c\n3 d\n5 e\n"},
		{[]string{"sed", "-i", "$s/e/E/g", "noend"}, "noend", "one\ntwo\nthrEE"},
		{[]string{"sed", "-n", "/3/w out", "left"}, "out", "3 c\n3 d\n"},
		{[]string{"awk", `{ print $2 > "out"; print $1 >> "noend" }`, "left"}, "out", "a\nb\nc\nd\ne\n"},
		{[]string{"awk", `BEGIN { print "more" >> "noend" }`}, "noend", "one\ntwo\nthreemore\n"},
		{[]string{"awk", `BEGIN { print "x" > "out"; close("out"); print "y" > "out" }`}, "out", "y\n"},
		{[]string{"tee", "out"}, "out", "in\n"},
		{[]string{"tee", "-a", "noend"}, "noend", "one\ntwo\nthreein\n"},
		{[]string{"uniq", "table", "out"}, "out", "bob 30 paris\nalice 25 rome\ncarol 35 oslo\nalice 25 rome\ndave 1e2 x\n"},
	} {
		d := &disk{files: samples()}
		_, told, status := d.run("in\n", c.args...)
		if got := d.files[c.file]; got != c.want || status != 0 {
			t.Errorf("%q: %s is %q, status %d, %s; want %q", c.args, c.file, got, status, told, c.want)
		}
	}
}

// TestCommands looks at what tools run: through Run alone, with its statuses.
func TestCommands(t *testing.T) {
	for _, c := range []struct {
		stdin  string
		args   []string
		out    string
		status int
	}{
		{"a b\n", []string{"xargs", "-n1", "echo"}, "a\nb\n", 0},
		{"1 2\n", []string{"xargs", "-n1", "exit"}, "", exitFailed},
		{"255 0\n", []string{"xargs", "-n1", "exit"}, "", exitStopping},
		{"126\n", []string{"xargs", "exit"}, "", exitNotRun},
		{"x\n", []string{"xargs", "nosuch"}, "", exitNoSuch},
		{"x y", []string{"xargs", "-0", "-I%", "echo", "<%>"}, "<x y>\n", 0},
		{"it's", []string{"xargs", "echo"}, "", 1},
		{"1 2 3 4", []string{"xargs", "-P", "4", "-n", "1", "exit"}, "", exitFailed},
		{"", []string{"env", "X=1", "echo", "a"}, "a X=1\n", 0},
		{"", []string{"env", "exit", "7"}, "", 7},
		{"", []string{"timeout", "10", "exit", "3"}, "", 3},
		{"", []string{"timeout", "0.01", "sleep", "1000"}, "", exitTimedOut},
		{"", []string{"timeout", "x", "sleep", "1"}, "", exitOwn},
		{"", []string{"awk", `BEGIN { print system("exit 4") }`}, "4\n", 0},
		{"", []string{"awk", `BEGIN { "echo a b" | getline; print $2; print "z" | "cat"; print close("cat") }`}, "b\nz\n0\n", 0},
		{"q\n", []string{"awk", `BEGIN { system("cat") }`}, "q\n", 0},
	} {
		got, told, status := (&disk{files: samples()}).run(c.stdin, c.args...)
		if got != c.out || status != c.status {
			t.Errorf("%q: printed %q, status %d, stderr %q; want %q, status %d", c.args, got, status, told, c.out, c.status)
		}
	}
}

// TestRefused looks at what is told of what is not supported.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sed", `s/\(a\)\1/b/`, "left"}, `a \1 inside a regular expression is not supported`},
		{[]string{"sed", "s/a/b/e", "left"}, "the flag e of `s' is not supported"},
		{[]string{"sed", "e", "left"}, "unknown command"},
		{[]string{"sort", "-T", "/tmp", "left"}, "-T is not supported"},
		{[]string{"env", "-i", "echo"}, "-i is not supported with a command"},
		{[]string{"date", "-s", "now"}, "cannot set the date"},
		{[]string{"date", "-d", "next blue moon"}, "use @SECONDS"},
		{[]string{"awk"}, "no program: give one"},
		{[]string{"awk", "BEGIN { f(1) }"}, "function f is not defined"},
		{[]string{"awk", "function f() { return f() } BEGIN { f() }"}, "nested more than"},
		{[]string{"awk", `BEGIN { while (1) s = s "0123456789abcdef" s }`}, "longer than"},
		{[]string{"jq", "--nope", "."}, "Unknown option: --nope"},
		{[]string{"cut", "-f1", "-c1", "left"}, "only one list"},
	} {
		_, told, status := (&disk{files: samples()}).run("", c.args...)
		if !strings.Contains(told, c.want) || status == 0 {
			t.Errorf("%q: status %d, stderr %q; want %q", c.args, status, told, c.want)
		}
	}
}
