//go:build unix

package localfs

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

const secret = "what nobody outside may read"

// prison is a mount, a file outside of it, and ways out that somebody on the
// machine has planted.
type prison struct {
	*testing.T
	fs      *FS
	dir     string
	outside string // a directory
	secret  string // a file in it
}

func newPrison(t *testing.T) *prison {
	p := &prison{T: t, dir: filepath.Join(t.TempDir(), "served"), outside: t.TempDir()}
	p.secret = filepath.Join(p.outside, "secret")
	p.must(os.Mkdir(p.dir, 0o755), os.WriteFile(p.secret, []byte(secret), 0o644))
	fs, err := Plugin().New(vfs.Env{}, vfs.Config{"local_dir": p.dir})
	p.must(err)
	p.fs = fs.(*FS)
	p.must(p.fs.Start(t.Context()))
	t.Cleanup(func() { _ = p.fs.Close() })
	return p
}

func (p *prison) must(errs ...error) {
	p.Helper()
	if err := errors.Join(errs...); err != nil {
		p.Fatal(err)
	}
}

func (p *prison) host(name string) string { return filepath.Join(p.dir, name) }

// read returns what can be had of a file by any way of reading.
func (p *prison) read(name vfs.Path) string {
	var all strings.Builder
	b := make([]byte, 100)
	n, _ := p.fs.ReadAt(p.Context(), nil, name, b, 0)
	all.Write(b[:n])
	if r, err := p.fs.Stream(p.Context(), name, 0, 0); err == nil {
		_, _ = io.Copy(&all, r)
		_ = r.Close()
	}
	return all.String()
}

// TestEscapes tries to get out by every verb through every way out.
func TestEscapes(t *testing.T) {
	ways := map[string]func(p *prison) vfs.Path{
		"an absolute link to a file": func(p *prison) vfs.Path {
			p.must(os.Symlink(p.secret, p.host("l")))
			return "/l"
		},
		"a relative link to a file": func(p *prison) vfs.Path {
			rel, err := filepath.Rel(p.dir, p.secret)
			p.must(err, os.Symlink(rel, p.host("l")))
			return "/l"
		},
		"an absolute link to a directory": func(p *prison) vfs.Path {
			p.must(os.Symlink(p.outside, p.host("d")))
			return "/d/secret"
		},
		"a relative link to a directory": func(p *prison) vfs.Path {
			rel, err := filepath.Rel(p.dir, p.outside)
			p.must(err, os.Symlink(rel, p.host("d")))
			return "/d/secret"
		},
		"a link to a link": func(p *prison) vfs.Path {
			p.must(os.Symlink(p.outside, p.host("b")), os.Symlink("b", p.host("a")))
			return "/b/secret"
		},
		"a link into a directory and out again": func(p *prison) vfs.Path {
			p.must(os.Mkdir(p.host("d"), 0o755), os.Symlink("../../"+filepath.Base(p.outside)+"/secret", p.host("d/l")))
			return "/d/l"
		},
		"a link to the root of the machine": func(p *prison) vfs.Path {
			p.must(os.Symlink("/", p.host("r")))
			return vfs.Path("/r" + p.secret)
		},
		"a link to the process's own descriptors": func(p *prison) vfs.Path {
			p.must(os.Symlink("/proc/self/root", p.host("r")))
			return vfs.Path("/r" + p.secret)
		},
	}
	verbs := []vfs.Op{
		{Verb: vfs.Write, Flag: vfs.FlagCreate, Data: []byte("x")},
		{Verb: vfs.Write, Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte("x")},
		{Verb: vfs.Write, Off: vfs.AtEnd, Data: []byte("x")},
		{Verb: vfs.Truncate}, {Verb: vfs.Chmod, Mode: 0o777}, {Verb: vfs.Touch},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			p := newPrison(t)
			at := way(p)
			if got := p.read(at); got != "" {
				t.Errorf("read %q", got)
			}
			for _, op := range verbs {
				op.Path = at
				if _, err := p.fs.Do(t.Context(), op); err == nil {
					t.Errorf("%s went through", op.Verb)
				}
			}
			if _, err := p.fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: at}, strings.NewReader("x")); err == nil {
				t.Error("a whole file went through")
			}
			p.untouched()
		})
	}
}

// untouched fails if anything outside has changed.
func (p *prison) untouched() {
	p.Helper()
	b, err := os.ReadFile(p.secret)
	st, serr := os.Stat(p.secret)
	entries, derr := os.ReadDir(p.outside)
	p.must(err, serr, derr)
	if string(b) != secret || st.Mode().Perm() != 0o644 || len(entries) != 1 {
		p.Errorf("outside: %q, %v, %d entries", b, st.Mode(), len(entries))
	}
}

// Links that clients ask for stay inside.
func TestSymlinkTargets(t *testing.T) {
	p := newPrison(t)
	p.must(os.MkdirAll(p.host("a/b"), 0o755))
	for target, ok := range map[string]bool{
		"/etc/passwd": false, "/": false, "..": false, "../..": false, "../x": false, "../../a": false,
		"a/../../x": false, "../served/f": false, p.secret: false, "": false,
		"f": true, "a/f": true, "./f": true, "a/../f": true,
	} {
		_, err := p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Symlink, Path: "/l", Target: target})
		if (err == nil) != ok {
			t.Errorf("link to %q: %v", target, err)
		}
		_ = os.Remove(p.host("l"))
	}
	for target, ok := range map[string]bool{"../../f": true, "../f": true, "../../../f": false, "../../..": false} {
		_, err := p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Symlink, Path: "/a/b/l", Target: target})
		if (err == nil) != ok {
			t.Errorf("link in /a/b to %q: %v", target, err)
		}
		_ = os.Remove(p.host("a/b/l"))
	}
}

// Removing and renaming take the link, never what it leads to.
func TestLinksThemselves(t *testing.T) {
	p := newPrison(t)
	for _, verb := range []vfs.Verb{vfs.Remove, vfs.RemoveAll} {
		p.must(os.Symlink(p.outside, p.host("d")))
		if i, err := p.fs.Stat(t.Context(), nil, "/d"); err != nil || i.Mode.IsLink() || i.Meta.Type != "special" {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := p.fs.Do(t.Context(), vfs.Op{Verb: verb, Path: "/d"}); err != nil {
			t.Error(err)
		}
		p.untouched()
	}
	p.must(os.Symlink("nowhere", p.host("dangling")))
	if _, err := p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Rename, Path: "/dangling", To: "/d2"}); err != nil {
		t.Error(err)
	}
	for _, op := range []vfs.Op{{Verb: vfs.Remove, Path: "/"}, {Verb: vfs.RemoveAll, Path: "/"},
		{Verb: vfs.Rename, Path: "/", To: "/x"}, {Verb: vfs.Rename, Path: "/d2", To: "/"}} {
		if _, err := p.fs.Do(t.Context(), op); err == nil {
			t.Errorf("%s of the root went through", op.Verb)
		}
	}
	if _, err := os.Stat(p.dir); err != nil {
		t.Error("the directory itself is gone")
	}
}

// Pipes, sockets and devices are refused at once; none is waited for.
func TestSpecialFiles(t *testing.T) {
	p := newPrison(t)
	p.must(syscall.Mkfifo(p.host("pipe"), 0o666), syscall.Mknod(p.host("zero"), syscall.S_IFCHR|0o666, 1<<8|5))
	sock, err := net.Listen("unix", p.host("sock"))
	p.must(err)
	defer sock.Close()
	for _, name := range []vfs.Path{"/pipe", "/zero", "/sock"} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if got := p.read(name); got != "" {
				t.Errorf("read %d bytes of %s", len(got), name)
			}
			if i, err := p.fs.Stat(t.Context(), nil, name); err != nil || i.Size != 0 || i.Meta.Type != "special" {
				t.Errorf("%s: %+v, %v", name, i, err)
			}
			for _, op := range []vfs.Op{{Verb: vfs.Write, Path: name, Data: []byte("x")}, {Verb: vfs.Truncate, Path: name},
				{Verb: vfs.Chmod, Path: name, Mode: 0o777}, {Verb: vfs.Touch, Path: name}} {
				if _, err := p.fs.Do(t.Context(), op); vfs.KindOf(err) != vfs.Permission {
					t.Errorf("%s of %s: %v", op.Verb, name, err)
				}
			}
			if _, err := p.fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: name}, strings.NewReader("x")); vfs.KindOf(err) != vfs.Permission {
				t.Errorf("%s: %v", name, err)
			}
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is waited for", name)
		}
	}
}

// A file with a second name outside is replaced as a whole, so that the other
// name keeps what it had; in place it is not written.
func TestHardLinks(t *testing.T) {
	p := newPrison(t)
	p.must(os.Link(p.secret, p.host("h")))
	for _, op := range []vfs.Op{
		{Verb: vfs.Write, Path: "/h", Data: []byte("x")}, {Verb: vfs.Write, Path: "/h", Off: vfs.AtEnd, Data: []byte("x")},
		{Verb: vfs.Write, Path: "/h", Flag: vfs.FlagTruncate, Data: []byte("x")}, {Verb: vfs.Truncate, Path: "/h"},
		{Verb: vfs.Chmod, Path: "/h", Mode: 0o777}, {Verb: vfs.Touch, Path: "/h"},
	} {
		if _, err := p.fs.Do(t.Context(), op); vfs.KindOf(err) != vfs.Permission {
			t.Errorf("%s: %v", op.Verb, err)
		}
	}
	p.untouched()
	if _, err := p.fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/h"}, strings.NewReader("mine")); err != nil {
		t.Error(err)
	}
	p.untouched()
	if p.read("/h") != "minemine" { // by both ways
		t.Errorf("%q", p.read("/h"))
	}
}

// Somebody swaps a directory for a link, over and over, while it is read and
// written through.
func TestRaces(t *testing.T) {
	p := newPrison(t)
	p.must(os.Mkdir(p.host("real"), 0o755), os.WriteFile(p.host("real/secret"), []byte("harmless"), 0o644))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink(p.outside, p.host("d"))
			_ = os.Remove(p.host("d"))
			_ = os.Rename(p.host("real"), p.host("d"))
			_ = os.Rename(p.host("d"), p.host("real"))
		}
	})
	end := time.Now().Add(2 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		if got := p.read("/d/secret"); strings.Contains(got, "nobody") {
			t.Fatalf("read %q", got)
		}
		_, _ = p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/d/secret", Data: []byte("x")})
		_, _ = p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Truncate, Path: "/d/secret"})
		_, _ = p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Create, Path: vfs.Path(fmt.Sprintf("/d/new%d", i))})
		_, _ = p.fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/d/put"}, strings.NewReader("x"))
		if i%50 == 0 {
			_, _ = p.fs.Do(t.Context(), vfs.Op{Verb: vfs.RemoveAll, Path: "/d/put"})
		}
	}
	close(stop)
	wg.Wait()
	p.untouched()
}

// The node's own directory is not served, by whatever name.
func TestOwnData(t *testing.T) {
	base := t.TempDir()
	data := filepath.Join(base, "data")
	link := filepath.Join(t.TempDir(), "link")
	for _, err := range []error{os.MkdirAll(filepath.Join(data, "state"), 0o700), os.Mkdir(filepath.Join(base, "beside"), 0o755), os.Symlink(data, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir, ok := range map[string]bool{data: false, filepath.Join(data, "state"): false, base: false, "/": false, link: false,
		filepath.Join(base, "beside"): true, filepath.Join(base, "beside", "..", "data"): false} {
		f, err := Plugin().New(vfs.Env{DataDir: data}, vfs.Config{"local_dir": dir})
		if err == nil {
			err = f.(*FS).Start(t.Context())
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for _, dir := range []any{"", filepath.Join(base, "none"), "/dev/null", "a\x00b", 7.5} {
		f, err := Plugin().New(vfs.Env{}, vfs.Config{"local_dir": dir})
		if err == nil {
			err = f.(*FS).Start(t.Context())
		}
		if err == nil {
			t.Errorf("%v is served", dir)
		}
	}
}

// Names of files that are being written are neither shown nor taken, and a
// write that fails leaves none.
func TestPartFiles(t *testing.T) {
	p := newPrison(t)
	p.must(os.WriteFile(p.host(tempPrefix+"x"), []byte("half"), 0o600))
	if got := p.read("/" + tempPrefix + "x"); got != "" {
		t.Errorf("read %q", got)
	}
	if list, err := p.fs.List(t.Context(), nil, "/", "", 0); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := p.fs.Do(t.Context(), vfs.Op{Verb: vfs.Create, Path: "/" + tempPrefix + "y"}); vfs.KindOf(err) != vfs.Permission {
		t.Error(err)
	}
	broken := io.MultiReader(strings.NewReader("half"), iotestErr{})
	if _, err := p.fs.Put(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f"}, broken); err == nil || err.Error() != "connection lost" {
		t.Errorf("half a file: %v", err)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("connection lost") }
