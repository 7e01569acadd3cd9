package supervise

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// output returns what a child prints until it ends.
func output(t *testing.T, c *Child) string {
	t.Helper()
	b, err := io.ReadAll(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// script starts a shell script.
func script(t *testing.T, k *book, text string) *Child {
	t.Helper()
	c, err := Start(Command{Code: []byte("#!/bin/sh\n" + text), Processes: true, Log: k.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(c, 0) })
	return c
}

func end(c *Child, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	c.End(ctx)
}

// soon waits for what takes a moment.
func soon(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in two minutes: " + what)
		}
	}
}

// reports waits for last words: they may come over the pipe after the end of the
// program is known.
func reports(t *testing.T, c *Child, want string) {
	t.Helper()
	soon(t, want+" in its report", func() bool { return strings.Contains(c.Report(), want) })
}

// A program that is killed says so, with its last words, and leaves nothing.
func TestChildEnds(t *testing.T) {
	var k book
	c := script(t, &k, `echo starting >&2; printf '{"level":"ERROR","msg":"all is lost"}\n' >&2; read line; echo "got $line"; pwd; exit 3`)
	fmt.Fprintln(c.In, "hello")
	out, err := io.ReadAll(c.Out)
	if err != nil || string(out) != "got hello\n"+c.Dir()+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	<-c.Done()
	reports(t, c, "starting | ")
	if got := c.Report(); !strings.Contains(got, "exit status 3") {
		t.Error(got)
	}
	soon(t, "two lines in the log", func() bool { return strings.Count(k.String(), "plugin says") >= 2 })
	if got := k.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "level=DEBUG") || strings.Count(got, "plugin says") != 2 {
		t.Error(got)
	}
	end(c, 0)
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}

// The environment is a short list, and nothing of the server is open in it.
func TestChildIsAlone(t *testing.T) {
	t.Setenv("PFS_TEST_SECRET", "secret")
	var k book
	c, err := Start(Command{Code: []byte("#!/bin/sh\nenv; ls /proc/self/fd; cat /proc/self/limits /proc/self/status; echo nice $(nice); id -u\n"), Env: []string{"GIVEN=yes"}, Processes: true, Log: k.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer end(c, 0)
	out := output(t, c)
	if strings.Contains(out, "secret") || !strings.Contains(out, "GIVEN=yes") || !strings.Contains(out, "HOME="+c.Dir()) {
		t.Error(out)
	}
	for _, want := range []string{"Max data size             536870912", "Max core file size        0", "Max open files            256", "NoNewPrivs:\t1", fmt.Sprintf("nice %d\n", lower())} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
	if os.Getuid() == 0 && len(c.Lacks()) == 0 && strings.HasSuffix(out, "\n0\n") {
		t.Error("it is root")
	}
	t.Logf("this machine lacks %q", c.Lacks())
}

// What a program has started dies with it; where it has process ids of its own,
// what has left its group, too.
func TestChildFamily(t *testing.T) {
	var k book
	c := script(t, &k, `read far; sleep 1000 & $far sleep 1000 & echo up; wait`)
	far := "setsid"
	if slices.Contains(c.Lacks(), "process ids of its own") {
		far = "exec"
	}
	fmt.Fprintln(c.In, far)
	r := bufio.NewReader(c.Out)
	for line := ""; line != "up\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	mine := func() (n int) {
		list, _ := os.ReadDir("/proc")
		for _, e := range list {
			if _, err := strconv.Atoi(e.Name()); err != nil {
				continue
			}
			env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
			if bytes.Contains(env, []byte("HOME="+c.Dir()+"\x00")) {
				n++
			}
		}
		return n
	}
	soon(t, "three processes", func() bool { return mine() >= 3 })
	end(c, 0)
	soon(t, "nothing left", func() bool { return mine() == 0 })
	if got := c.Report(); !strings.Contains(got, "killed") {
		t.Error(got)
	}
}

// Where the server may make control groups, a program and all that it starts is in one
// of its own, which ends with it.
func TestChildGroup(t *testing.T) {
	own, err := ownControlGroup()
	if err != nil {
		t.Fatal("a machine without control groups: ", err)
	}
	below := filepath.Join(own, fmt.Sprintf("pfs-test-%d", os.Getpid()))
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Logf("none may be made here: %v", err)
		if c := script(t, &book{}, "read line"); !slices.Contains(c.Lacks(), limitedGroup) {
			t.Errorf("it does not tell: %q", c.Lacks())
		}
		return
	}
	defer os.Remove(below)
	var k book
	c, err := Start(Command{Code: []byte("#!/bin/sh\nsetsid sleep 1000 & cat /proc/self/cgroup; read line\n"), Processes: true, Log: k.logger(), groups: below})
	if err != nil {
		t.Fatal(err)
	}
	in := "0::/" + filepath.Base(c.Dir())
	r := bufio.NewReader(c.Out)
	for line := ""; !strings.HasSuffix(line, filepath.Base(below)+in[3:]+"\n"); {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err, c.Report())
		}
	}
	for file, want := range map[string]string{"memory.max": fmt.Sprint(512<<20 + groupSlack), "pids.max": "128", "cpu.weight": "20"} {
		if b, err := os.ReadFile(filepath.Join(below, filepath.Base(c.Dir()), file)); err == nil && strings.TrimSpace(string(b)) != want {
			t.Errorf("%s is %s", file, b)
		}
	}
	soon(t, "both are in it, and nobody else", func() bool {
		return len(words(filepath.Join(below, filepath.Base(c.Dir())), "cgroup.procs")) == 2
	})
	end(c, 0)
	if left := words(below, "cgroup.procs"); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	soon(t, "its group is gone", func() bool {
		_, err := os.Stat(filepath.Join(below, filepath.Base(c.Dir())))
		return os.IsNotExist(err)
	})
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(below, fmt.Sprintf("%s%d-1", dirLead, gone.Process.Pid))
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	outlives := exec.Command("sleep", "1000")
	if err := outlives.Start(); err != nil {
		t.Fatal(err)
	}
	defer outlives.Process.Kill()
	if err := os.WriteFile(filepath.Join(left, "cgroup.procs"), []byte(strconv.Itoa(outlives.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	go func() { _ = outlives.Wait() }() // it is killed
	sweepGroups(below)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what another server has left stays: %v", err)
	}
}

// A flood of lines and a line without an end are drained and bounded.
func TestChildFlood(t *testing.T) {
	var k book
	c := script(t, &k, `head -c 3000000 /dev/zero | tr '\0' x >&2; i=0; while [ $i -lt 3000 ]; do echo "line $i: `+strings.Repeat("y", 100)+`" >&2; i=$((i+1)); done; echo the end >&2`)
	<-c.Done()
	reports(t, c, "the end")
	if n := len(k.String()); n > 2*maxLogged || !strings.Contains(k.String(), "more than is logged") {
		t.Errorf("%d bytes are logged", n)
	}
}

// Memory ends at its limit, and only that of the program.
func TestChildMemory(t *testing.T) {
	var k book
	c, err := Start(Command{Code: []byte("#!/usr/bin/env python3\nb = bytearray(1 << 30)\n"), Limits: Limits{Memory: 256 << 20}, Log: k.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer end(c, 0)
	<-c.Done()
	reports(t, c, "MemoryError")
}

// What is no program does not start, with a reason.
func TestChildRefused(t *testing.T) {
	for name, code := range map[string]string{
		"text": "hello", "no interpreter": "#!/nowhere/sh\n", "half of a program": "\x7fELF\x02\x01\x01",
	} {
		if c, err := Start(Command{Code: []byte(code), Log: slog.New(slog.DiscardHandler)}); err == nil {
			end(c, 0)
			t.Errorf("%s: it runs", name)
		} else if !strings.Contains(err.Error(), "does not start") {
			t.Errorf("%s: %v", name, err)
		}
	}
	left, _ := os.ReadDir("/proc/self/fd")
	for range 20 {
		_, _ = Start(Command{Code: []byte("x"), Log: slog.New(slog.DiscardHandler)})
	}
	if now, _ := os.ReadDir("/proc/self/fd"); len(now) > len(left)+3 {
		t.Errorf("%d descriptors, before %d", len(now), len(left))
	}
}

// A program dies with the server, however that ends.
func TestChildDiesWithUs(t *testing.T) {
	if os.Getenv("PFS_TEST_PARENT") != "" {
		c, err := Start(Command{Code: []byte("#!/bin/sh\nexec sleep 1000\n"), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.Pid())
		select {}
	}
	var k book
	me, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	exe := t.TempDir() + "/parent"
	if err := os.WriteFile(exe, me, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(exe, []string{exe, "-test.run=TestChildDiesWithUs"}, &os.ProcAttr{
		Env: append(os.Environ(), "PFS_TEST_PARENT=1"), Files: []*os.File{nil, pipeTo(t, &k), os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	var pid int
	soon(t, "the id of the child", func() bool {
		_, err := fmt.Sscan(k.String(), &pid)
		return err == nil && strings.HasSuffix(k.String(), "\n")
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	soon(t, "its end", func() bool {
		st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(st), ") Z ") || syscall.Kill(pid, 0) != nil
	})
}

// pipeTo returns a file whose bytes go to w.
func pipeTo(t *testing.T, w io.Writer) *os.File {
	t.Helper()
	r, f, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(w, r) }() // ends with the pipe
	t.Cleanup(func() { f.Close(); r.Close() })
	return f
}

// What was left behind by a server that is gone is removed, and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead, live := gone.Process.Pid, os.Getpid()
	stay := []string{fmt.Sprintf("pfs-plugin-%d-x", live), "pfs-plugin-x", "pfs-plugin-0-x", fmt.Sprintf("pfs-%d-a.sock", live), fmt.Sprintf("pfs-%d-a.other", dead), fmt.Sprintf("other-%d-a.sock", dead)}
	away := []string{fmt.Sprintf("pfs-plugin-%d-x", dead), fmt.Sprintf("pfs-%d-a.sock", dead), fmt.Sprintf("pfs-%d-a.sock.lock", dead)}
	for _, name := range append(stay, away...) {
		if err := os.MkdirAll(dir+"/"+name+"/below", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir, "pfs-", ".sock", ".sock.lock")
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !slices.Contains(stay, e.Name()) {
			t.Errorf("%s stays", e.Name())
		}
	}
	if len(left) != len(stay) {
		t.Errorf("%d are left", len(left))
	}
}

// A program can neither fill the machine with processes nor with open files, nor
// write a file without an end.
func TestChildBombs(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETFD, 0); err != nil { // as what a shell has left open
		t.Fatal(err)
	}
	const far = 40
	if err := unix.Dup2(int(w.Fd()), far); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(far)
	var k book
	code := `#!/usr/bin/env python3
import os, time, signal
print(max(int(n) for n in os.listdir("/proc/self/fd")), flush=True)
n = 0
try:
    while n < 300:
        if os.fork() == 0: time.sleep(1000)
        n += 1
except OSError: pass
print(n, flush=True)
files = []
try:
    while len(files) < 1000: files.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
print(len(files), flush=True)
os.close(files.pop())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = 0
try:
    with open(os.environ["HOME"] + "/big", "wb", buffering=0) as f:
        while size < 64 << 20: size += f.write(bytes(1 << 20))
except OSError: pass
print(size, flush=True)
`
	c, err := Start(Command{Code: []byte(code), Limits: Limits{Processes: 30, Files: 50, FileSize: 5 << 20}, Processes: true, Log: k.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer end(c, 0)
	var open, forks, files, size int
	if _, err := fmt.Fscan(c.Out, &open, &forks, &files, &size); err != nil {
		t.Fatal(err, c.Report())
	}
	if open >= far && !slices.Contains(c.Lacks(), "files of its own") || files >= 50 || size > 5<<20 {
		t.Errorf("descriptor %d was open; it has opened %d files and written %d bytes", open, files, size)
	}
	if forks == 0 || forks >= 30 && !slices.Contains(c.Lacks(), "a user of its own") {
		t.Errorf("it has started %d processes", forks)
	}
	left := c.Dir()
	end(c, 0)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error(err)
	}
}
