package test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// syncer copies a tree up, changes it, and copies it down, and kills the program
// at it.
type syncer struct {
	*testing.T
	c     *harness.Cluster
	r     *rand.Rand
	src   string
	kills int    // of each command
	nodes string // for --url
}

// TestSync copies a part of this checkout to one node and three, kills the copies,
// and finds the trees equal.
func TestSync(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			t.Parallel()
			src := filepath.Join(t.TempDir(), "src")
			for _, dir := range []string{"vfs", "client", "examples", "docs"} {
				if err := os.CopyFS(filepath.Join(src, dir), os.DirFS(filepath.Join(harness.Root(t), dir))); err != nil {
					t.Fatal(err)
				}
			}
			s := startSyncer(t, nodes, src, 2)
			s.whole()
			s.filters()
			s.crossing()
		})
	}
}

// TestSyncGoTree does it with the Go toolchain's source and twenty-one kills.
func TestSyncGoTree(t *testing.T) { goTree(t, (*syncer).whole) }

// TestSyncFigures prints what copies of that source cost beside those of others.
func TestSyncFigures(t *testing.T) { goTree(t, (*syncer).figures) }

func goTree(t *testing.T, do func(*syncer)) {
	if os.Getenv("PFS_SOAK") == "" {
		t.Log("the long form of TestSync runs with PFS_SOAK=1")
		return
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			src := filepath.Join(t.TempDir(), "src")
			if out, err := exec.Command("cp", "-r", goSource(t), src).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			do(startSyncer(t, nodes, src, 7))
		})
	}
}

func startSyncer(t *testing.T, nodes int, src string, kills int) *syncer {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &syncer{T: t, c: harness.Start(t, harness.Options{Nodes: nodes}), r: rand.New(rand.NewPCG(seed, 1)), src: src, kills: kills}
	for i, n := range s.c.Nodes {
		if i > 0 {
			s.nodes += ","
		}
		s.nodes += n.URL
	}
	if err := os.Symlink("docs/../vfs", filepath.Join(src, "a link")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(src, "nothing in it"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := make([]byte, 5<<20)
	for i := range long {
		long[i] = byte(s.r.Uint32())
	}
	s.write("long.bin", string(long))
	return s
}

// command is the pfs program with arguments.
func (s *syncer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.c.Bin, "pfs"), args...)
	cmd.Env = append(os.Environ(), "PFS_URL="+s.nodes)
	return cmd
}

// run runs pfs and returns its exit code and what it printed. It is another client than
// the last one: it asks for no more than a node has.
func (s *syncer) run(args ...string) (int, string) {
	if len(s.c.Nodes) > 1 {
		s.c.SameDigest()
	}
	cmd := s.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// must is run where success is expected.
func (s *syncer) must(args ...string) string {
	s.Helper()
	code, out := s.run(args...)
	if code != 0 {
		s.Fatalf("pfs %q: exit code %d\n%s", args, code, out)
	}
	return out
}

// killed runs a command again and again, kills it at random moments of the time
// that it takes, and lets it end at last. Where it ends before, there is new work
// for the next one.
func (s *syncer) killed(took time.Duration, work func(), args ...string) {
	s.Helper()
	cut := 0
	for tries := 0; cut < s.kills; tries++ {
		if tries > 20*s.kills {
			s.Fatalf("pfs %q was killed %d times only in %d tries", args, cut, tries)
		}
		cmd := s.command(args...)
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + time.Duration(s.r.Float64()*float64(took)))
		_ = cmd.Process.Kill() // it may have ended
		if cmd.Wait() != nil {
			cut++
		} else {
			took = took * 3 / 4
			work()
		}
	}
	s.must(args...)
	s.Logf("pfs %s: killed %d times, and finished", strings.Join(args[:len(args)-2], " "), cut)
}

// whole is the round trip.
func (s *syncer) whole() {
	from := time.Now()
	s.must("cp", "-q", "-r", "local:"+s.src, "/memfs/measure")
	took := time.Since(from) / 4 // what is done stays done
	s.killed(took, func() { s.must("rm", "-r", "/memfs/tree") }, "cp", "-q", "-r", "--resume", "local:"+s.src+"/.", "/memfs/tree")
	s.back("cp", "-q", "-r")
	s.change()
	s.killed(took, s.change, "sync", "-q", "--delete", "local:"+s.src, "/memfs/tree")
	down := s.back("cp", "-q", "-r")
	more := func() {
		s.change()
		s.must("sync", "-q", "--delete", "-j", "3", "local:"+s.src, "/memfs/tree")
	}
	more()
	s.killed(took/2, more, "sync", "-q", "--delete", "pfs:/memfs/tree", down)
	s.equal(down)
	if out := s.must("sync", "-v", "--delete", "local:"+s.src, "/memfs/tree"); !strings.HasPrefix(out, "0 files, 0 bytes, ") {
		s.Errorf("a sync of what is equal printed %s", out)
	}
	if len(s.c.Nodes) > 1 {
		s.c.SameDigest()
	}
}

// back copies the tree down by the given command, to a new place, and compares.
func (s *syncer) back(args ...string) string {
	s.Helper()
	at := filepath.Join(s.TempDir(), "back")
	s.must(append(args, "pfs:/memfs/tree/.", at)...)
	s.equal(at)
	return at
}

func (s *syncer) write(name, content string) {
	s.Helper()
	p := filepath.Join(s.src, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		s.Fatal(err)
	}
}

// files returns the regular files of the source.
func (s *syncer) files() (names []string) {
	s.Helper()
	err := filepath.WalkDir(s.src, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(p, s.src+"/"))
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return names
}

// change changes a tenth of the source in all ways, some that neither size nor
// time tell.
func (s *syncer) change() {
	s.Helper()
	var failed []error
	try := func(err error) {
		if err != nil {
			failed = append(failed, err)
		}
	}
	names := s.files()
	for _, n := range names {
		p := filepath.Join(s.src, n)
		switch s.r.IntN(60) {
		case 0:
			try(os.Remove(p))
		case 1: // the same size and time
			st, err := os.Stat(p)
			try(err)
			b, err := os.ReadFile(p)
			try(err)
			if len(b) > 0 {
				b[s.r.IntN(len(b))] ^= 1
			}
			try(os.WriteFile(p, b, 0o644))
			try(os.Chtimes(p, st.ModTime(), st.ModTime()))
		case 2:
			try(os.WriteFile(p, []byte(fmt.Sprint("now ", s.r.Uint64())), 0o644))
		case 3:
			try(os.Chmod(p, 0o755))
		case 4: // a directory where a file was
			try(os.Remove(p))
			s.write(n+"/inside", "new")
		case 5:
			try(os.Remove(p))
			try(os.Symlink("long.bin", p))
		case 6:
			s.write(fmt.Sprintf("new/%d/%d", s.r.IntN(9), s.r.Uint64()), n)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(s.src, "*", "*"))
	try(err)
	for _, d := range dirs { // a file where a directory was
		if st, err := os.Stat(d); err == nil && st.IsDir() {
			try(os.RemoveAll(d))
			try(os.WriteFile(d, nil, 0o644))
			break
		}
	}
	if len(failed) > 0 {
		s.Fatal(failed)
	}
}

// listing renders a tree: names, kinds, hashes, targets and who may execute.
func (s *syncer) listing(dir string) []string {
	s.Helper()
	hashes, _ := hashTree(s.T, dir)
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		line := rel + " " + d.Type().String()
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " " + to
		case d.Type().IsRegular():
			i, err := d.Info()
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x %v", hashes[rel], i.Mode()&0o111 != 0)
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// equal fails unless a tree is the source.
func (s *syncer) equal(dir string) {
	s.Helper()
	want, got := s.listing(s.src), s.listing(dir)
	if slices.Equal(want, got) {
		return
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			s.Errorf("missing: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			s.Errorf("too much: %s", g)
		}
	}
	s.FailNow()
}

// filters looks at what is left out, at --dry-run, and at what --delete does not do.
func (s *syncer) filters() {
	before := s.listing(s.src)
	s.must("mkdir", "-p", "/memfs/tree/kept")
	for _, name := range []string{"k.keep", "other"} {
		s.must("cp", "-q", "local:"+filepath.Join(harness.Root(s.T), "go.mod"), "/memfs/tree/kept/"+name)
	}
	out := s.must("sync", "-n", "--delete", "--exclude", "*.keep", "local:"+s.src, "/memfs/tree")
	if !strings.HasPrefix(out, "delete /memfs/tree/kept/other\n0 files, 0 bytes, ") || !strings.HasSuffix(out, "nothing was done\n") {
		s.Errorf("a dry run printed %s", out)
	}
	out = s.must("-o", "json", "sync", "--delete", "--exclude", "*.keep", "local:"+s.src, "/memfs/tree")
	if got := s.must("ls", "/memfs/tree/kept"); got != "k.keep\n" || !strings.Contains(out, `"failed": 0`) {
		s.Errorf("left out, and gone: %s%s", got, out)
	}
	if code, out := s.run("sync", "--delete", "local:"+filepath.Join(s.src, "none"), "/memfs/tree"); code != 4 {
		s.Errorf("a source that is not there: %d %s", code, out)
	}
	if code, out := s.run("sync", "--delete", "/memfs/tree", "/memfs/tree/kept"); code != 2 {
		s.Errorf("a target in its source: %d %s", code, out)
	}
	s.must("sync", "-q", "--delete", "local:"+s.src, "/memfs/tree")
	if after := s.listing(s.src); !slices.Equal(before, after) {
		s.Error("sync changed its source")
	}
	s.back("sync", "-q")
}

// crossing copies to another server.
func (s *syncer) crossing() {
	other := harness.Start(s.T, harness.Options{Bin: s.c.Bin})
	there := strings.Replace(other.Nodes[0].URL, "http", "pfs", 1) + "/memfs/tree"
	s.must("sync", "-q", "--delete", "pfs:/memfs/tree", there)
	if out := s.must("sync", "--check", "--delete", "pfs:/memfs/tree", there); !strings.HasPrefix(out, "0 files, 0 bytes, ") {
		s.Errorf("a sync of what is equal printed %s", out)
	}
	at := filepath.Join(s.TempDir(), "crossed")
	s.must("sync", "-q", there, at)
	s.equal(at)
}

// TestWriteStream has each piece of stdin in a stream while the next is not there.
func TestWriteStream(t *testing.T) {
	t.Parallel()
	c := harness.Start(t, harness.Options{})
	for _, args := range [][]string{{"write", "--stream", "/streamfs/a"}, {"put", "--stream", "-", "/streamfs/b"}} {
		path := args[len(args)-1]
		cmd := exec.Command(filepath.Join(c.Bin, "pfs"), args...)
		cmd.Env = append(os.Environ(), "PFS_URL="+c.Nodes[0].URL)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var got io.ReadCloser
		for _, piece := range []string{"one\n", "two\n", "three\n"} {
			if _, err := io.WriteString(in, piece); err != nil {
				t.Fatal(err)
			}
			if got == nil && !harness.Poll(30*time.Second, func() bool {
				got, _, err = c.Client(0).Follow(t.Context(), path, client.Oldest)
				return err == nil
			}) {
				t.Fatal(err)
			}
			b := make([]byte, len(piece))
			if _, err := io.ReadFull(got, b); string(b) != piece || err != nil {
				t.Errorf("%s gave %q, %v", path, b, err)
			}
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("pfs %q: %v", args, err)
		}
		got.Close()
	}
}
