package test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// copyUnit copies the unit and its drop-in with the program where it was built, and
// returns the name of the copy.
func copyUnit(t *testing.T, bin string) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(harness.Root(t), "configs", "systemd")
	for file, to := range map[string]string{"pfs.service": "pfs.service", "tls.conf": "pfs.service.d/tls.conf"} {
		b, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "/usr/bin/pfs-server", filepath.Join(bin, "pfs-server"))
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pfs.service")
}

// systemd itself finds nothing wrong with the unit, and little exposed.
func TestUnitIsSound(t *testing.T) {
	name := copyUnit(t, harness.Build(t))
	for _, args := range [][]string{{"verify", "--man=no", name}, {"security", "--offline=true", "--threshold=20", "--no-pager", name}} {
		out, err := harness.Output("systemd-analyze", args...)
		if err != nil || args[0] == "verify" && out != "" {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// allowed is the system calls that are left by the filters of the unit.
func allowed(t *testing.T, unit string) map[string]bool {
	t.Helper()
	out, err := harness.Output("systemd-analyze", "syscall-filter", "--no-pager")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sets, set := map[string][]string{}, ""
	for line := range strings.Lines(out) {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || name[0] == '#':
		case line[0] == '@':
			set = name
		default:
			sets[set] = append(sets[set], name)
		}
	}
	var members func(name string) []string
	members = func(name string) (out []string) {
		for _, m := range sets[name] {
			if m[0] == '@' {
				out = append(out, members(m)...)
			} else {
				out = append(out, m)
			}
		}
		return out
	}
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(@[a-z-]+)$`).FindAllStringSubmatch(string(b), -1) {
		for _, call := range members(m[2]) {
			calls[call] = m[1] == ""
		}
	}
	if !calls["read"] || calls["mount"] {
		t.Fatalf("the filters of the unit leave %d calls, read %v, mount %v", len(calls), calls["read"], calls["mount"])
	}
	return calls
}

// A node at work makes no system call that the unit forbids.
func TestUnitAllowsWhatANodeDoes(t *testing.T) {
	bin := harness.Build(t)
	calls := allowed(t, copyUnit(t, bin))
	traced := t.TempDir()
	script := "#!/bin/sh\nexec strace -D -f -qq -o " + traced + "/calls " + filepath.Join(bin, "pfs-server") + " \"$@\"\n"
	wrapped := filepath.Join(traced, "pfs-server")
	if err := os.WriteFile(wrapped, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Bin: traced, Args: []string{"-admin-addr", ":0"}})
	n := c.Nodes[0]
	send(t, "PUT", n.URL+"/api/v1/files?path=/memfs/a", "", strings.Repeat("long", 20_000))
	send(t, "DELETE", n.URL+"/api/v1/files?path=/memfs/a", "", "")
	send(t, "POST", n.URL+"/api/v1/cluster/snapshot", "", "{}")
	send(t, "GET", n.URL+"/api/v1/backup", "", "")
	if code := n.Stop(); code != 0 {
		t.Fatalf("the node ended with %d\n%s", code, n.Tail())
	}
	b, err := os.ReadFile(filepath.Join(traced, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +([a-z0-9_]+)\(`).FindAllStringSubmatch(string(b), -1) {
		if made[m[1]] = true; !calls[m[1]] {
			t.Errorf("a node calls %s, which the unit forbids", m[1])
			calls[m[1]] = true // once is enough
		}
	}
	if len(made) < 30 || !made["fsync"] && !made["fdatasync"] {
		t.Errorf("only %d calls were seen", len(made))
	}
}

// The service manager hears that a node is ready when it is, and that it stops;
// a node that crashes does not end like one with a wrong command line, which is
// not started again.
func TestServiceManagerHearsTheNode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c := harness.Start(t, harness.Options{Nodes: 2, NoReady: true})
	c.KillAll() // what they have said until now may be anything
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("GOTRACEBACK", "crash")
	c.Nodes[0].Start()
	heard := func(want string) string {
		b := make([]byte, 4096)
		var all strings.Builder
		for !strings.Contains(all.String(), want) {
			if err := l.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			k, err := l.Read(b)
			if err != nil {
				t.Fatalf("%q was not said, but %s: %v", want, all.String(), err)
			}
			all.WriteString(string(b[:k]) + "\n")
		}
		return all.String()
	}
	if all := heard("STATUS=not ready"); !strings.Contains(all, "EXTEND_TIMEOUT_USEC=") || strings.Contains(all, "READY=1") {
		t.Errorf("a node that waits for the other said %s", all)
	}
	c.StartAll()
	heard("READY=1")
	c.Ready()
	c.Nodes[1].Stop()
	heard("STOPPING=1")
	c.Nodes[0].Signal(syscall.SIGABRT) // the watchdog's
	if !harness.Poll(20*time.Second, func() bool { return !c.Nodes[0].Alive() }) {
		t.Fatal("the node outlives its watchdog")
	}
	if code := c.Nodes[0].Stop(); code != -1 { // by a signal
		t.Errorf("a node that crashes ends with %d", code)
	}
	err = exec.Command(filepath.Join(c.Bin, "pfs-server"), "-no-such-flag").Run()
	if x, ok := err.(*exec.ExitError); !ok || x.ExitCode() != 2 {
		t.Errorf("a wrong command line: %v; RestartPreventExitStatus has 2", err)
	}
}
