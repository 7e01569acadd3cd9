package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Image is what a Dockerfile makes, as a directory and the settings that a
// container starts with.
type Image struct {
	Root       string // the root filesystem
	User       string // uid:gid
	Env        []string
	Entrypoint []string
	Health     []string // the command of the health check
	Volumes    []string
}

// copied is one COPY of the last stage.
var copied = regexp.MustCompile(`^COPY (?:--from=build )?(?:--chown=(\d+):(\d+) )?(.*) (\S+)$`)

// BuildImage does what the last stage of a Dockerfile says, into a directory of
// the test. What the stage before it would have built is taken from bin; its
// empty directories are made, other files are those of this machine.
func BuildImage(t testing.TB, dockerfile, bin string) *Image {
	t.Helper()
	b, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	m := &Image{Root: filepath.Join(t.TempDir(), "root")}
	stages := strings.Split(strings.ReplaceAll(string(b), "\\\n", " "), "\nFROM ")
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") {
		t.Fatalf("the last stage is from %.30q; only scratch can be made here", last)
	}
	for line := range strings.Lines(strings.TrimPrefix(last, "scratch\n")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "COPY":
			m.copy(t, strings.TrimSpace(line), bin)
		case "ENV":
			m.Env = append(m.Env, strings.Fields(rest)...)
		case "USER":
			m.User = rest
		case "VOLUME":
			m.Volumes = append(m.Volumes, rest)
		case "ENTRYPOINT":
			m.Entrypoint = execForm(t, rest)
		case "HEALTHCHECK":
			_, cmd, _ := strings.Cut(rest, " CMD ")
			m.Health = execForm(t, cmd)
		case "", "#", "EXPOSE", "STOPSIGNAL":
		default:
			t.Fatalf("%s: nobody here knows how to do %q", dockerfile, line)
		}
	}
	return m
}

func execForm(t testing.TB, s string) (out []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &out); err != nil || len(out) == 0 {
		t.Fatalf("%q is not a command in the form of a list: %v", s, err)
	}
	return out
}

func (m *Image) copy(t testing.TB, line, bin string) {
	t.Helper()
	f := copied.FindStringSubmatch(line)
	if f == nil {
		t.Fatalf("nobody here knows how to do %q", line)
	}
	for _, from := range strings.Fields(f[3]) {
		to := filepath.Join(m.Root, f[4])
		if strings.HasSuffix(f[4], "/") {
			to = filepath.Join(to, filepath.Base(from))
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasPrefix(from, "/empty/"):
			err = os.Mkdir(to, 0o700)
		case strings.HasPrefix(from, "/src/build/"):
			err = copyFile(filepath.Join(bin, filepath.Base(from)), to)
		default:
			err = copyFile(from, to)
		}
		if err == nil && f[1] != "" {
			uid, _ := strconv.Atoi(f[1]) // digits
			gid, _ := strconv.Atoi(f[2])
			err = os.Chown(to, uid, gid)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// Lan is a network of containers. It needs root and iproute2.
type Lan struct {
	t     testing.TB
	name  string
	hosts string // a file like /etc/hosts
	names map[string]string
	ports int
}

// NewLan makes a network that nobody else is in. It ends with the test.
func NewLan(t testing.TB) *Lan {
	t.Helper()
	l := &Lan{t: t, name: fmt.Sprintf("pfs%d", os.Getpid()), hosts: filepath.Join(t.TempDir(), "hosts"), names: map[string]string{}}
	l.ip("netns", "add", l.name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.name).Run() }) // it goes with the machine at last
	l.ip("-n", l.name, "link", "add", "lan", "type", "bridge")
	l.ip("-n", l.name, "addr", "add", "10.77.0.254/24", "dev", "lan")
	l.ip("-n", l.name, "link", "set", "lan", "up")
	l.writeHosts()
	return l
}

func (l *Lan) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// writeHosts changes the file in place: containers have it mounted.
func (l *Lan) writeHosts() {
	l.t.Helper()
	var b bytes.Buffer
	b.WriteString("127.0.0.1 localhost\n")
	for name, addr := range l.names {
		fmt.Fprintf(&b, "%s %s\n", addr, name)
	}
	f, err := os.OpenFile(l.hosts, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err == nil {
		_, err = f.Write(b.Bytes())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	f.Close()
}

// Plug makes a place in the network with an address of its own, known by a
// name. A name that is plugged again moves to a new address.
func (l *Lan) Plug(name string) (place string) {
	l.t.Helper()
	l.ports++
	place = fmt.Sprintf("%s-%d", l.name, l.ports)
	addr := fmt.Sprintf("10.77.0.%d", l.ports)
	l.ip("netns", "add", place)
	l.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", place).Run() }) // as above
	end := fmt.Sprintf("p%d", l.ports)
	l.ip("-n", l.name, "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", place)
	l.ip("-n", l.name, "link", "set", end, "master", "lan", "up")
	l.ip("-n", place, "addr", "add", addr+"/24", "dev", "eth0")
	l.ip("-n", place, "link", "set", "eth0", "up")
	l.ip("-n", place, "link", "set", "lo", "up")
	l.names[name] = addr
	l.writeHosts()
	return place
}

// Addr returns the address of a name.
func (l *Lan) Addr(name string) string { return l.names[name] }

// Get asks for a URL from within the network and returns what it answers;
// false if that is not 200.
func (l *Lan) Get(url string) (body string, ok bool) {
	out, err := exec.Command("ip", "netns", "exec", l.name, "curl", "-sf", "--max-time", "30", url).Output()
	return string(out), err == nil
}

// Container is a process in an image, on a network, as a container runtime would
// start it: as the user of the image, on a root that cannot be written to,
// without what others may.
type Container struct {
	Image  *Image
	Lan    *Lan
	Place  string            // from Plug; "" for no network
	Env    []string          // beside that of the image
	Mounts map[string]string // path in the container → directory or file; with ":ro" at its end read-only
}

// Command returns a command that runs args in the container.
func (c *Container) Command(args ...string) *exec.Cmd {
	c.Lan.t.Helper()
	var sh strings.Builder
	sh.WriteString("set -e\nmount --make-rprivate /\n")
	bind := func(from, to, more string) {
		fmt.Fprintf(&sh, "mount --bind '%s' '%s'\n", from, to)
		if more != "" {
			fmt.Fprintf(&sh, "mount -o remount,bind%s '%s'\n", more, to)
		}
	}
	bind(c.Image.Root, c.Image.Root, ",ro")
	mounts := map[string]string{"/etc/hosts": c.Lan.hosts + ":ro"}
	for at, from := range c.Mounts {
		mounts[at] = from
	}
	for at, from := range mounts {
		from, ro := strings.CutSuffix(from, ":ro")
		to := c.Image.mountPoint(c.Lan.t, at, from)
		more := ""
		if ro {
			more = ",ro"
		}
		bind(from, to, more)
	}
	fmt.Fprintf(&sh, "exec env -i %s $(command -v setpriv) --no-new-privs $(command -v chroot) --userspec=%s '%s' \"$@\"\n",
		quoted(append(append([]string{}, c.Image.Env...), c.Env...)), c.Image.User, c.Image.Root)
	run := []string{"unshare", "-m", "sh", "-c", sh.String(), "sh"}
	if c.Place != "" {
		run = append([]string{"ip", "netns", "exec", c.Place}, run...)
	} else {
		run = append([]string{"unshare", "-n"}, run...)
	}
	return exec.Command(run[0], append(run[1:], args...)...)
}

// mountPoint makes what is mounted over, as a runtime does.
func (m *Image) mountPoint(t testing.TB, at, from string) string {
	t.Helper()
	to := filepath.Join(m.Root, at)
	st, err := os.Stat(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil && st.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err == nil {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func quoted(env []string) string {
	var b strings.Builder
	for _, e := range env {
		fmt.Fprintf(&b, "'%s' ", strings.ReplaceAll(e, "'", `'\''`))
	}
	return b.String()
}

// Volume makes a directory that takes the owner of the one in the image that it
// will be mounted over, as a runtime does.
func (m *Image) Volume(t testing.TB, at string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volume")
	if out, err := exec.Command("cp", "-a", filepath.Join(m.Root, at), dir).CombinedOutput(); err != nil {
		t.Fatalf("volume of %s: %v\n%s", at, err, out)
	}
	return dir
}
