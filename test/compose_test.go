package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pfs-project/pfs/test/harness"
)

// composition is configs/docker/compose.yaml, with all keys that it may use.
type composition struct {
	Name     string
	Node     map[string]any `yaml:"x-node"`
	Shared   map[string]any `yaml:"x-environment"`
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image, Build, Restart, Hostname, Command string
	Entrypoint                               []string
	ReadOnly                                 bool                         `yaml:"read_only"`
	CapDrop                                  []string                     `yaml:"cap_drop"`
	SecurityOpt                              []string                     `yaml:"security_opt"`
	StopGrace                                string                       `yaml:"stop_grace_period"`
	NetworkMode                              string                       `yaml:"network_mode"`
	DependsOn                                map[string]map[string]string `yaml:"depends_on"`
	Environment                              map[string]string
	Ports, Volumes                           []string
}

func readYAML(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.Root(t), name))
	if err == nil {
		err = yaml.UnmarshalWithOptions(b, v, yaml.Strict())
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// running is a container that runs.
type running struct {
	*harness.Container
	t    *testing.T
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func run(t *testing.T, c *harness.Container, args ...string) *running {
	t.Helper()
	r := &running{Container: c, t: t, cmd: c.Command(append(slices.Clone(c.Image.Entrypoint), args...)...), log: filepath.Join(t.TempDir(), "log"), done: make(chan struct{})}
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // how it ended is in ProcessState
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
		if t.Failed() {
			b, _ := os.ReadFile(r.log)
			t.Logf("%s:\n%s", c.Place, b[max(0, len(b)-3000):])
		}
	})
	return r
}

// exec runs another command in the container, as a health check does.
func (r *running) exec(args ...string) (string, error) {
	out, err := r.Command(args...).CombinedOutput()
	return string(out), err
}

// stop ends it as a runtime does, and wants it to end well.
func (r *running) stop(within time.Duration) {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-r.done:
	case <-time.After(within):
		r.t.Fatalf("%s does not end within %v", r.Place, within)
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("%s ended with %d", r.Place, code)
	}
}

// image makes the image of the Dockerfile, and looks at what it is.
func image(t *testing.T) *harness.Image {
	t.Helper()
	root := harness.Root(t)
	m := harness.BuildImage(t, filepath.Join(root, "Dockerfile"), harness.Build(t))
	if m.User != "65532:65532" || !slices.Contains(m.Volumes, "/var/lib/pfs") || len(m.Health) == 0 {
		t.Errorf("the image runs as %s, with volumes %v, and is asked by %q", m.User, m.Volumes, m.Health)
	}
	var files []string
	err := filepath.WalkDir(m.Root, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(name, m.Root))
		}
		return err
	})
	if err != nil || strings.Join(files, " ") != "/etc/ssl/certs/ca-certificates.crt /usr/bin/pfs /usr/bin/pfs-server" {
		t.Errorf("the image holds %v, %v", files, err)
	}
	return m
}

// TestCompose runs the services of compose.yaml in the image's root, on a
// network of their own.
func TestCompose(t *testing.T) {
	var c composition
	readYAML(t, "configs/docker/compose.yaml", &c)
	m, lan := image(t), harness.NewLan(t)
	volumes := map[string]string{}
	place := func(s service, at string) *harness.Container {
		k := &harness.Container{Image: m, Lan: lan, Place: at, Mounts: map[string]string{}}
		for key, v := range s.Environment {
			k.Env = append(k.Env, key+"="+v)
		}
		for _, v := range s.Volumes {
			name, to, _ := strings.Cut(v, ":")
			to, ro := strings.CutSuffix(to, ":ro")
			if _, known := c.Volumes[name]; !known {
				t.Errorf("volume %s is not declared", name)
			}
			if volumes[name] == "" {
				volumes[name] = m.Volume(t, to)
			}
			if k.Mounts[to] = volumes[name]; ro {
				k.Mounts[to] += ":ro"
			}
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Image != "pfs" || s.Build != "../.." {
			t.Errorf("a service is more open than it needs to be: %+v", s)
		}
		return k
	}
	certs := c.Services["certs"]
	for range 2 { // again at every "up"
		if out, err := place(certs, "").Command(certs.Entrypoint...).CombinedOutput(); err != nil {
			t.Fatalf("certs: %v\n%s", err, out)
		}
	}
	nodes := map[string]*running{}
	for _, name := range []string{"n1", "n2", "n3"} {
		s := c.Services[name]
		if s.Hostname != name || s.DependsOn["certs"]["condition"] != "service_completed_successfully" || len(s.Ports) != 1 || !strings.HasPrefix(s.Ports[0], "127.0.0.1:") {
			t.Errorf("%s: %+v", name, s)
		}
		nodes[name] = run(t, place(s, lan.Plug(name)))
	}
	if len(c.Services) != 4 {
		t.Errorf("%d services", len(c.Services))
	}
	tryNodes(t, lan, nodes)
	grace, err := time.ParseDuration(c.Services["n1"].StopGrace)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.stop(grace)
	}
}

// tryNodes waits until all are healthy, by the image's own check, and takes
// what is written on one node from the others.
func tryNodes(t *testing.T, lan *harness.Lan, nodes map[string]*running) {
	t.Helper()
	for name, n := range nodes {
		var said string
		if !harness.Poll(60*time.Second, func() bool {
			_, err := n.exec(n.Image.Health...)
			if err == nil {
				said, err = n.exec("/usr/bin/pfs", "probe", "ready")
			}
			return err == nil
		}) {
			t.Fatalf("%s is not ready: %s", name, said)
		}
	}
	names := regexp.MustCompile(`^\S+`)
	for name, n := range nodes {
		url := "http://" + lan.Addr(name) + ":8080"
		file := "/memfs/" + names.FindString(name)
		var said string
		if !harness.Poll(30*time.Second, func() (made bool) { // again while there is no leader
			var err error
			said, err = n.exec("/usr/bin/pfs", "mkdir", "-p", file)
			return err == nil
		}) {
			t.Errorf("write on %s: %s", name, said)
		}
		if body, ok := lan.Get(url + "/api/v1/cluster"); !ok || !strings.Contains(body, `"node_port":"tls"`) {
			t.Errorf("%s: %s", name, body)
		}
		for other := range nodes {
			if !harness.Poll(30*time.Second, func() bool { // as above
				_, ok := lan.Get("http://" + lan.Addr(other) + ":8080/api/v1/stat?consistency=linearizable&path=" + file)
				return ok
			}) {
				t.Errorf("%s does not have what was written on %s", other, name)
			}
		}
		b, err := os.ReadFile(n.log)
		if err != nil || strings.Contains(string(b), "level=ERROR msg=\"fault") {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
	}
}
