package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	remotefs "github.com/pfs-project/pfs/remote"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// example is one plugin of those in examples/.
type example struct {
	file    string      // what its Makefile builds, as DIRECTORY/FILE
	fstype  string      // the type that its mounts have
	scripts string      // what it does, line by line
	verbs   vfs.VerbSet // the changes that it must carry
	also    vfs.VerbSet // others that it does not refuse as unsupported
	in      vfs.Path    // where; "" is the root
}

// exampleTable is what each example must be able to do, whatever it says itself.
func exampleTable() []example {
	files := vfs.Verbs(vfs.Create, vfs.Write, vfs.Truncate, vfs.Remove)
	dirs := files | vfs.Verbs(vfs.Mkdir, vfs.RemoveAll, vfs.Rename)
	all := dirs | vfs.Verbs(vfs.Chmod)
	return []example{
		{file: "c-native/hello.so", fstype: "hellofs-c", scripts: "ffi/testdata/hello"},
		{file: "c-native/memory.so", fstype: "memory-c", scripts: "ffi/testdata/memory", verbs: all},
		{file: "c-native/memory-old.so", fstype: "memory-c-old", scripts: "ffi/testdata/memory", verbs: all},
		{file: "rust-native/words.so", fstype: "words-rust", scripts: "ffi/testdata/words", verbs: files, also: vfs.Verbs(vfs.Chmod)},
		{file: "c-wasm/hello.wasm", fstype: "hellofs-c-wasm", scripts: "wasmhost/testdata/readonly"},
		{file: "c-wasm/memory.wasm", fstype: "memory-c-wasm", scripts: "wasmhost/testdata/memory", verbs: all},
		{file: "c-wasm/memory-old.wasm", fstype: "memory-c-wasm-old", scripts: "wasmhost/testdata/memory", verbs: all},
		{file: "rust-wasm/hello.wasm", fstype: "hellofs-rust-wasm", scripts: "wasmhost/testdata/readonly"},
		{file: "rust-wasm/memory.wasm", fstype: "memory-rust-wasm", scripts: "wasmhost/testdata/memory", verbs: all},
		{file: "go-wasm/hello.wasm", fstype: "hellofs-go", scripts: "wasmhost/testdata/hello", also: all},
		{file: "go-wasm/memory.wasm", fstype: "memory-go", scripts: "wasmhost/testdata/memory", verbs: all},
		{file: "go-http/hello", fstype: "hellofs-http", scripts: "prochost/testdata/http/hello"},
		{file: "go-http/memory", fstype: "memory-http", scripts: "prochost/testdata/http/memory", verbs: all | vfs.Verbs(vfs.Touch)},
		{file: "go-http/upper", fstype: "upper", scripts: "prochost/testdata/http/upper", in: "/process",
			verbs: vfs.Verbs(vfs.Write, vfs.Remove, vfs.RemoveAll)},
		{file: "go-wasi/hello.wasm", fstype: "hellofs-wasi", scripts: "prochost/testdata/wasi/hello"},
		{file: "go-wasi/memory.wasm", fstype: "memory-wasi", scripts: "prochost/testdata/wasi/memory", verbs: dirs},
		{file: "python-msgpack/hello.pyz", fstype: "hellofs-py", scripts: "prochost/testdata/msgpack/hello"},
		{file: "python-msgpack/memory.pyz", fstype: "memory-py", scripts: "prochost/testdata/msgpack/memory", verbs: dirs},
	}
}

// TestExamples goes through the README of each directory in examples/ as a reader
// does, command by command. What that has built plays its scripts, carries its verbs
// and keeps the laws through REST: on one node, and mounted on the second of three,
// asked through the third.
func TestExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	built := map[string]bool{}
	dirs, err := filepath.Glob(filepath.Join(harness.Root(t), "examples", "*", "README.md"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, readme := range dirs {
		name := filepath.Base(filepath.Dir(readme))
		t.Run(name, func(t *testing.T) {
			for _, file := range followReadme(t, readme, filepath.Join(dir, name)) {
				built[name+"/"+file] = true
			}
		})
	}
	for _, e := range exampleTable() {
		if !built[e.file] {
			t.Errorf("no README says how to build %s", e.file)
		}
		delete(built, e.file)
	}
	delete(built, "go-wasm/tee.wasm") // all that it does needs grants: a test of those judges it
	if len(built) > 0 {
		t.Errorf("no row says what these must carry: %v", slices.Sorted(maps.Keys(built)))
	}
	if t.Failed() {
		return
	}
	for _, name := range shortLaws {
		if !slices.ContainsFunc(vfstest.Laws(), func(l vfstest.Law) bool { return l.Name == name }) {
			t.Errorf("there is no law %q", name)
		}
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			c := harness.Start(t, harness.Options{Nodes: nodes, Config: func(int) string {
				return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\n", dir)
			}})
			t.Run("plugins", func(t *testing.T) {
				for _, e := range exampleTable() {
					t.Run(e.fstype, func(t *testing.T) {
						t.Parallel()
						e.judge(t, c)
					})
				}
			})
			c.SameDigest()
		})
	}
}

// followReadme runs the console blocks of a README in a copy of its directory and
// moves what they have built to dir. It returns the names.
func followReadme(t *testing.T, readme, dir string) (names []string) {
	t.Helper()
	steps := readSteps(t, readme)
	if len(steps) == 0 || !strings.HasPrefix(steps[0].command, "make") {
		t.Fatalf("%s does not begin with how to build it", readme)
	}
	sh := startShell(t, harness.Build(t))
	from, to := filepath.Dir(readme), filepath.Join(sh.dir, filepath.Base(filepath.Dir(readme)))
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(to, "build")); err != nil { // somebody has built it in place
		t.Fatal(err)
	}
	if _, code, err := sh.run("export GOFLAGS=; cd "+to, time.Minute); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	for _, st := range steps {
		var out string
		var code int
		var err error
		harness.Poll(2*time.Minute, func() bool { // 5: a retry may help, as while a module is compiled
			out, code, err = sh.run(st.command, 10*time.Minute) // make has compilers to run
			return err != nil || code != 5
		})
		if err != nil {
			t.Fatalf("%s:%d: %s\n%v\n%s", readme, st.line, st.command, err, out)
		}
		if !resembles(out, st.want) {
			log, _ := os.ReadFile(filepath.Join(to, "node.log")) // none is none
			t.Errorf("%s:%d: %s\ngot (%d)\n%swant\n%s\n%s", readme, st.line, st.command, code, out, strings.Join(st.want, "\n"), log)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(to, "build"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		names = append(names, e.Name())
		if err := os.Rename(filepath.Join(to, "build", e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// shortLaws are those that each run of the tests can wait for; their own packages
// hold the same examples to all. PFS_SOAK=1 holds them to all of them here, too, on
// one node as well.
var shortLaws = [...]string{
	"a plugin says what it is", "list agrees with stat", "what is missing is not found",
	"declared verbs work and others change nothing", "what is written is read",
}

// judge loads the example on the first node, mounts it on the second and asks the
// last one.
func (e example) judge(t *testing.T, c *harness.Cluster) {
	first := newWeb(t, c.Nodes[0])
	var a answer
	if !harness.Poll(2*time.Minute, func() (up bool) { // compilers are slow where many are at work, and a cluster that has just begun raises its feature level first
		var err error
		a, err = first.do("POST", "/plugins/load", strings.NewReader(fmt.Sprintf(`{"library_path":%q}`, e.file)))
		return err == nil && a.status == 200
	}) {
		t.Fatal(a.status, a.body)
	}
	if !strings.Contains(a.body, fmt.Sprintf(`"plugin_name":%q`, e.fstype)) {
		t.Fatal(a.body)
	}
	for _, law := range vfstest.Laws() {
		short := len(c.Nodes) > 1 && slices.Contains(shortLaws[:], law.Name)
		if law.Of == vfs.Replicated || !short && os.Getenv("PFS_SOAK") == "" {
			continue
		}
		t.Run("law/"+law.Name, func(t *testing.T) {
			if err := law.Check(vfstest.Subject{Plugin: e.plugin(t, c)}); err != nil {
				t.Error(err)
			}
		})
	}
	vfstest.Scripts(t, filepath.Join(harness.Root(t), e.scripts), func(t *testing.T) vfstest.Driver {
		return newRemote(t, c, e.fstype, nil)
	})
	t.Run("verbs", func(t *testing.T) {
		d := newRemote(t, c, e.fstype, nil)
		for v, show := range shows() {
			if e.verbs.Has(v) {
				if err := show(t.Context(), d, max(e.in, vfs.Root)); err != nil {
					t.Errorf("it does not carry %s: %v", v, err)
				}
			}
		}
	})
	t.Logf("%s carries %d verbs", e.fstype, len(verbsOf(e.verbs)))
}

func verbsOf(s vfs.VerbSet) (out []vfs.Verb) {
	for v := vfs.Create; v.Valid(); v++ {
		if s.Has(v) {
			out = append(out, v)
		}
	}
	return out
}

// plugin is the example as the laws see it: each mount of it is made through the
// first node on the second, and reached through the last one.
func (e example) plugin(t *testing.T, c *harness.Cluster) vfs.Plugin {
	var mounts atomic.Int64
	first, last := newWeb(t, c.Nodes[0]), newWeb(t, c.Nodes[len(c.Nodes)-1])
	owner := c.Nodes[min(1, len(c.Nodes)-1)].ID
	cl, err := client.New(client.Config{URLs: []string{c.Nodes[len(c.Nodes)-1].URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return vfs.Plugin{
		Type: e.fstype, Doc: "an example behind REST", Verbs: e.verbs | e.also,
		Place: func(vfs.Config) (vfs.Placement, error) { return vfs.Shared, nil },
		New: func(vfs.Env, vfs.Config) (vfs.FileSystem, error) {
			at := fmt.Sprintf("/%s-%d", e.fstype, mounts.Add(1))
			first.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":%q,"node":%q}`, e.fstype, at, owner))
			last.upSoon(at)
			far := remotefs.New(remotefs.Config{Name: at, Root: vfs.Path(at), Verbs: vfs.Changes() &^ vfs.Verbs(vfs.Symlink), // links are the server's
				Dial: func() (*client.Client, error) { return cl, nil }})
			return unmounted{far, func() { first.want(200, "POST", "/unmount", fmt.Sprintf(`{"path":%q}`, at)) }, e.verbs | e.also}, nil
		},
	}
}

// unmounted is a mount that goes when it is closed.
type unmounted struct {
	*remotefs.FS
	end   func()
	verbs vfs.VerbSet
}

// Do leaves the root to the server, which knows that there is a directory there.
func (u unmounted) Do(ctx context.Context, op vfs.Op) (vfs.Result, error) {
	r, err := u.FS.Do(ctx, op)
	if op.Path.IsRoot() && !u.verbs.Has(op.Verb) && vfs.KindOf(err) == vfs.Exists {
		return r, vfs.Unsupported
	}
	return r, err
}

func (u unmounted) Close() error {
	u.end()
	return nil
}

// shows has for each verb what shows that a mount carries it: it is done, and what
// it does can be seen.
func shows() map[vfs.Verb]func(ctx context.Context, d vfstest.Driver, in vfs.Path) error {
	write := func(ctx context.Context, d vfstest.Driver, p vfs.Path) error {
		r, err := d.Do(ctx, vfs.Op{Verb: vfs.Write, Path: p, Data: []byte("ABC"), Flag: vfs.FlagCreate | vfs.FlagTruncate})
		if err == nil && r.N != 3 {
			err = fmt.Errorf("it has written %d bytes of 3", r.N)
		}
		return err
	}
	reads := func(ctx context.Context, d vfstest.Driver, p vfs.Path, want string) error {
		b, err := d.Read(ctx, p, 0, -1)
		if err == nil && string(b) != want {
			err = fmt.Errorf("it has %q, expected %q", b, want)
		}
		return err
	}
	gone := func(ctx context.Context, d vfstest.Driver, p vfs.Path) error {
		if _, err := d.Stat(ctx, p); vfs.KindOf(err) != vfs.NotFound {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	}
	// on makes a file, does op on it, and looks.
	on := func(op vfs.Op, look func(context.Context, vfstest.Driver, vfs.Path) error) func(context.Context, vfstest.Driver, vfs.Path) error {
		return func(ctx context.Context, d vfstest.Driver, in vfs.Path) error {
			op.Path = in.Child("for-" + op.Verb.String())
			if op.Verb == vfs.Rename {
				op.To = in.Child("moved")
			}
			if op.Verb != vfs.Create && op.Verb != vfs.Mkdir {
				if err := write(ctx, d, op.Path); err != nil {
					return err
				}
			}
			if op.Verb != vfs.Write {
				if _, err := d.Do(ctx, op); err != nil {
					return err
				}
			}
			return look(ctx, d, op.Path)
		}
	}
	return map[vfs.Verb]func(context.Context, vfstest.Driver, vfs.Path) error{
		vfs.Write:  on(vfs.Op{Verb: vfs.Write}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error { return reads(ctx, d, p, "ABC") }),
		vfs.Create: on(vfs.Op{Verb: vfs.Create}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error { return reads(ctx, d, p, "") }),
		vfs.Mkdir: on(vfs.Op{Verb: vfs.Mkdir, Mode: 0o700}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error {
			i, err := d.Stat(ctx, p) // not all keep the mode
			if err == nil && !i.IsDir() {
				err = errors.New("it is no directory")
			}
			return errors.Join(err, write(ctx, d, p.Child("f")), reads(ctx, d, p.Child("f"), "ABC"))
		}),
		vfs.Truncate: on(vfs.Op{Verb: vfs.Truncate, Off: 2}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error { return reads(ctx, d, p, "AB") }),
		vfs.Chmod: on(vfs.Op{Verb: vfs.Chmod, Mode: 0o600}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error {
			i, err := d.Stat(ctx, p)
			if err == nil && i.Mode != 0o600 {
				err = fmt.Errorf("its mode is %o", i.Mode)
			}
			return err
		}),
		vfs.Touch: on(vfs.Op{Verb: vfs.Touch}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error { return reads(ctx, d, p, "ABC") }),
		vfs.Rename: on(vfs.Op{Verb: vfs.Rename}, func(ctx context.Context, d vfstest.Driver, p vfs.Path) error {
			return errors.Join(gone(ctx, d, p), reads(ctx, d, p.Dir().Child("moved"), "ABC"))
		}),
		vfs.Remove:    on(vfs.Op{Verb: vfs.Remove}, gone),
		vfs.RemoveAll: on(vfs.Op{Verb: vfs.RemoveAll}, gone),
	}
}
