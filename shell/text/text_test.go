package text

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// disk is files in memory, which commit on Close.
type disk struct {
	mu    sync.Mutex
	files map[string]string
}

type fileWriter struct {
	bytes.Buffer
	d    *disk
	name string
}

func (f *fileWriter) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.files[f.name] = f.String()
	return nil
}

// call is a Call over the files. Run knows the tools, and "sh -c" of words without
// quotes and pipes.
func (d *disk) call(stdin io.Reader, stdout, stderr io.Writer, args ...string) *Call {
	return &Call{
		Args: args, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Getenv:  func(name string) string { return map[string]string{"TZ": "UTC"}[name] },
		Environ: func() []string { return []string{"A=1", "B=two words"} },
		Open: func(_ context.Context, name string) (io.ReadCloser, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			s, ok := d.files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return io.NopCloser(strings.NewReader(s)), nil
		},
		Create: func(_ context.Context, name string, appendTo bool) (io.WriteCloser, error) {
			f := &fileWriter{d: d, name: name}
			d.mu.Lock()
			defer d.mu.Unlock()
			if appendTo {
				f.WriteString(d.files[name])
			}
			return f, nil
		},
		Run: func(ctx context.Context, args, env []string, in io.Reader, out io.Writer) int {
			if len(args) == 3 && args[0] == "sh" {
				args = strings.Fields(args[2])
			}
			switch args[0] {
			case "echo":
				fmt.Fprintln(out, strings.Join(append(args[1:], env...), " "))
				return 0
			case "exit":
				var n int
				fmt.Sscan(args[1], &n)
				return n
			case "cat":
				_, err := io.Copy(out, in)
				return truth(err != nil)
			}
			do, ok := Commands()[args[0]]
			if !ok {
				return 127
			}
			return do(ctx, d.call(in, out, stderr, args...))
		},
	}
}

// run runs a tool.
func (d *disk) run(stdin string, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	status = Commands()[args[0]](context.Background(), d.call(strings.NewReader(stdin), &out, &errs, args...))
	return out.String(), errs.String(), status
}

// samples are the files that the differential tests read.
func samples() map[string]string {
	var numbers, words strings.Builder
	for i := range 300 {
		fmt.Fprintf(&numbers, "%d\n", (i*7919)%997-300)
		fmt.Fprintf(&words, "%c%c:%d: %s %d.%d\t%c\n", 'a'+i%7, 'A'+i%5, i%13, strings.Repeat("x", i%4), i%9, i%10, 'k'+i%3)
	}
	return map[string]string{
		"numbers": numbers.String(), "words": words.String(), "empty": "", "noend": "one\ntwo\nthree",
		"blank":  "\n\na b\n\n  c  d \n\ne\n",
		"table":  "bob 30 paris\nalice 25 rome\ncarol 35 oslo\nalice 25 rome\ndave 1e2 x\n",
		"left":   "1 a\n2 b\n3 c\n3 d\n5 e\n",
		"right":  "1 x\n3 y\n3 z\n4 w\n5 v\n",
		"csv":    "name,age\n\"x\",3\ny,,\n,\n",
		"mixed":  "Apple\napple\nBanana\n apple\nzoo\nZoo\n10\n9\n-1\n1.5\n1e3\n",
		"sizes":  "1K\n2M\n512\n1G\n3K\n0\n10\n",
		"utf8":   "héllo wörld\n日本語\nabc\n",
		"binary": "a\x00b\xff\xfe\ncd\x80\n",
		"para":   "a b\nc d\n\n\ne f\n\ng\nh\ni\n",
		"script": "s/a/A/g\n/b/d\n",
		"prog":   "{ n += $2 }\nEND { print n }\n",
		"json":   `{"a":[1,2,{"b":null}],"c":"x\ty","d":1.5,"e":true}` + "\n" + `{"a":[],"c":"é"}` + "\n",
	}
}

// TestAsThisMachine runs the lines of testdata/same.txt here and with the tools of
// this machine: output and exit status are the same. "# " starts a comment.

func TestAsThisMachine(t *testing.T) {
	lines, err := os.ReadFile("testdata/same.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range samples() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for n, line := range strings.Split(string(lines), "\n") {
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		count++
		args := words(t, line)
		in := ""
		if i := len(args) - 2; i > 0 && args[i] == "<" {
			in, args = args[i+1], args[:i]
		}
		theirs := append([]string{}, args...)
		if theirs[0] == "awk" {
			theirs[0] = "gawk"
		}
		cmd := exec.Command(theirs[0], theirs[1:]...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "A=1", "B=two words"}
		cmd.Stdin = strings.NewReader(samples()[in])
		var wantErr bytes.Buffer
		cmd.Stderr = &wantErr
		want, _ := cmd.Output() // the exit status is compared
		if cmd.ProcessState == nil {
			t.Fatalf("line %d: %s is not installed", n+1, theirs[0])
		}
		d := &disk{files: samples()}
		got, gotErr, status := d.run(samples()[in], args...)
		if got != string(want) || status != cmd.ProcessState.ExitCode() {
			t.Errorf("same.txt:%d: %s\ngot  %q, status %d, stderr %q\nwant %q, status %d, stderr %q",
				n+1, line, got, status, gotErr, want, cmd.ProcessState.ExitCode(), wantErr.String())
		}
	}
	t.Logf("%d command lines print the same as the tools of this machine", count)
}

// words splits a command line: single quotes keep all, and \n in them is a newline
// where it stands as "⏎".
func words(t *testing.T, line string) (out []string) {
	var w strings.Builder
	quoted, open := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if open || w.Len() > 0 {
				out = append(out, w.String())
			}
			w.Reset()
			open = false
		case r == '⏎':
			w.WriteByte('\n')
		default:
			w.WriteRune(r)
		}
	}
	if quoted {
		t.Fatalf("a quote is open in %s", line)
	}
	if open || w.Len() > 0 {
		out = append(out, w.String())
	}
	return out
}

// waiting is an input that says nothing until its deadline passes.
type waiting struct {
	once sync.Once
	end  chan struct{}
}

func (w *waiting) Read([]byte) (int, error) {
	<-w.end
	return 0, os.ErrDeadlineExceeded
}

func (w *waiting) SetReadDeadline(time.Time) error {
	w.once.Do(func() { close(w.end) })
	return nil
}

// TestEndsWithContext asks every tool to end while it waits for input, or works.
func TestEndsWithContext(t *testing.T) {
	lines := [][]string{
		{"sort"}, {"uniq"}, {"cut", "-f1"}, {"tr", "a", "b"}, {"sed", "p"}, {"awk", "1"}, {"jq", "."}, {"xargs", "echo"},
		{"tee", "f"}, {"rev"}, {"tac"}, {"nl"}, {"paste", "-", "-"}, {"comm", "-", "left"}, {"cmp", "-", "left"}, {"fold"},
		{"base64"}, {"md5sum"}, {"join", "-", "left"}, {"sleep", "1000"}, {"yes"}, {"seq", "1", "1e18"},
		{"awk", "BEGIN { while (1) n++ }"}, {"sed", ":a;ba", "left"}, {"jq", "-n", "[repeat(1)] | length"}, {"timeout", "1000", "sleep", "1000"},
	}
	for _, args := range lines {
		ctx, cancel := context.WithCancel(context.Background())
		d := &disk{files: samples()}
		done := make(chan int, 1)
		in := &waiting{end: make(chan struct{})}
		go func() { done <- Commands()[args[0]](ctx, d.call(in, io.Discard, io.Discard, args...)) }()
		time.AfterFunc(20*time.Millisecond, cancel)
		select {
		case n := <-done:
			if n != exitInterrupted {
				t.Errorf("%q: exit status %d, not %d", args, n, exitInterrupted)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%q does not end with its context", args)
		}
		cancel()
	}
}

// TestEndsWithReader asks tools that print without end to stop when nobody reads.
func TestEndsWithReader(t *testing.T) {
	for _, args := range [][]string{{"yes"}, {"seq", "1", "1e18"}, {"awk", "BEGIN { while (1) print 1 }"}, {"sed", ":a;p;ba", "left"}, {"jq", "-n", "repeat(1)"}} {
		r, w := io.Pipe()
		done := make(chan int, 1)
		go func() {
			done <- Commands()[args[0]](context.Background(), (&disk{files: samples()}).call(strings.NewReader(""), w, io.Discard, args...))
		}()
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		select {
		case n := <-done:
			if n != exitNoReader {
				t.Errorf("%q: exit status %d, not %d", args, n, exitNoReader)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%q does not stop when nobody reads", args)
		}
	}
}

// Numbers at the end of what there is are no reason to fall.
func TestHugeNumbers(t *testing.T) {
	d := &disk{files: map[string]string{}}
	for _, c := range []struct {
		args           []string
		stdout, stderr string
		code           int
	}{
		{[]string{"nl", "-w", "9223372036854775800"}, "", "nl: invalid line number field width: '9223372036854775800': the widest is 1000000\n", 1},
		{[]string{"cut", "--complement", "-c", "1-9223372036854775807"}, "\n\n", "", 0},
		{[]string{"cut", "--complement", "-c", "9223372036854775807"}, "ab\n\n", "", 0},
		{[]string{"cut", "-c", "2-9223372036854775807"}, "b\n\n", "", 0},
		{[]string{"cut", "-c", "9223372036854775807-"}, "\n\n", "", 0},
		{[]string{"awk", `BEGIN { printf "%1000001d", 1 }`}, "", "awk: %1000001d: width and precision are 1000000 at the most\n", 2},
		{[]string{"awk", `BEGIN { x = sprintf("%.*s", 1000001, "a"); print "not here" }`}, "", "awk: %.1000001s: width and precision are 1000000 at the most\n", 2},
		{[]string{"seq", "-f", "%1000001g", "2"}, "", "seq: format '%1000001g': width and precision are 1000000 at the most\n", 1},
	} {
		var out, errs bytes.Buffer
		code := Commands()[c.args[0]](t.Context(), d.call(strings.NewReader("ab\n\n"), &out, &errs, c.args...))
		if code != c.code || out.String() != c.stdout || errs.String() != c.stderr {
			t.Errorf("%q: got %d %q %q", c.args, code, out.String(), errs.String())
		}
	}
}
