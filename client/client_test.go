package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// allocated returns how many bytes fn allocated, by whomever.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func start(t *testing.T) (*apitest.Server, *client.Client) {
	t.Helper()
	s := apitest.StartUsual(t)
	return s, dial(t, client.Config{URLs: []string{s.URL}})
}

func TestRoundTrip(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Mkdir(ctx, "/memfs/d", 0o750))
	must(c.Create(ctx, "/memfs/d/empty"))
	w, err := c.WriteFile(ctx, "/memfs/d/f", []byte("hello"))
	must(err)
	if w.Message != "Written 5 bytes" || w.Index == 0 || w.ETag == "" || !bytes.Contains(w.Body, []byte("index")) {
		t.Errorf("written %+v", w)
	}
	_, err = c.WriteFile(ctx, "/memfs/d/f", []byte(", world"), client.Append())
	must(err)
	_, err = c.WriteFile(ctx, "/memfs/d/f", []byte("J"), client.At(0))
	must(err)
	must(c.Truncate(ctx, "/memfs/d/f", 8))
	must(c.Touch(ctx, "/memfs/d/f"))
	must(c.Chmod(ctx, "/memfs/d/f", 0o640))
	must(c.Rename(ctx, "/memfs/d/f", "/memfs/d/g"))
	must(c.Symlink(ctx, "g", "/memfs/d/link"))
	b, err := c.ReadFile(ctx, "/memfs/d/link")
	if string(b) != "Jello, w" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	target, err := c.Readlink(ctx, "/memfs/d/link")
	if target != "g" || err != nil {
		t.Errorf("link to %q, %v", target, err)
	}
	r, err := c.OpenRange(ctx, "/memfs/d/g", client.Range{Off: 1, Size: 4})
	must(err)
	b, err = io.ReadAll(r)
	if string(b) != "ello" || err != nil {
		t.Errorf("range %q, %v", b, err)
	}
	i, err := c.Stat(ctx, "/memfs/d/g")
	if i.Name != "g" || i.Size != 8 || i.Mode != 0o640 || i.IsDir || i.ETag == "" || i.ModTime.IsZero() || err != nil {
		t.Errorf("stat %+v, %v", i, err)
	}
	if l, err := c.Stat(ctx, "/memfs/d/link"); !l.IsLink() || err != nil {
		t.Errorf("stat %+v, %v", l, err)
	}
	must(c.Remove(ctx, "/memfs/d/empty"))
	must(c.RemoveAll(ctx, "/memfs/d"))
	if _, err := c.Stat(ctx, "/memfs/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of what is gone: %v", err)
	}
	must(c.Mount(ctx, "memfs", "/more", map[string]any{"init_dirs": []string{"/a"}}))
	mounts, err := c.Mounts(ctx)
	if !slices.ContainsFunc(mounts, func(m client.Mount) bool { return m.Path == "/more" && m.Type == "memfs" }) || err != nil {
		t.Errorf("mounts %+v, %v", mounts, err)
	}
	must(c.Unmount(ctx, "/more"))
	must(c.Ready(ctx))
	at, digest, err := c.Digest(ctx, 1)
	if at < 1 || digest == "" || err != nil {
		t.Errorf("digest %d %q, %v", at, digest, err)
	}
	if s, err := c.Cluster(ctx); s.NodeID == "" && err == nil {
		t.Errorf("cluster %+v", s)
	}
}

func TestKinds(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	w, err := c.WriteFile(ctx, "/memfs/f", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	_, stale := c.WriteFile(ctx, "/memfs/f", nil, client.IfMatch(`"1"`))
	_, exists := c.WriteFile(ctx, "/memfs/f", nil, client.IfAbsent())
	_, dir := c.WriteFile(ctx, "/memfs", nil)
	_, missing := c.Open(ctx, "/memfs/nothing")
	_, list := c.List(ctx, "/memfs/f")
	_, key := c.WriteFile(ctx, "/memfs/f", []byte("2"), client.Key("k"))
	_, again := c.WriteFile(ctx, "/memfs/f", []byte("other"), client.Key("k"))
	for _, k := range []struct {
		name string
		err  error
		want error
	}{
		{"stale", stale, vfs.Stale}, {"exists", exists, vfs.Stale}, {"create", c.Create(ctx, "/memfs/f"), fs.ErrExist},
		{"directory", dir, vfs.IsDirectory}, {"missing", missing, fs.ErrNotExist}, {"list", list, vfs.NotDirectory},
		{"root", c.Mkdir(ctx, "/x", 0o755), fs.ErrPermission}, {"key", key, nil}, {"key again", again, vfs.KeyReused},
		{"conditional remove", c.Remove(ctx, "/memfs/f", client.IfMatch(w.ETag)), vfs.Stale},
		{"empty path", c.Touch(ctx, ""), fs.ErrInvalid},
	} {
		if !errors.Is(k.err, k.want) || k.want == nil && k.err != nil {
			t.Errorf("%s: got %v, want %v", k.name, k.err, k.want)
		}
	}
	var e *client.Error
	if !errors.As(stale, &e) || `"`+e.ETag+`"` != w.ETag {
		t.Errorf("stale tells %q, the version is %s", e.ETag, w.ETag)
	}
}

// A write whose outcome was lost is done once, and so is a take.
func TestLostOutcomes(t *testing.T) {
	s, _ := start(t)
	c := dial(t, client.Config{URLs: []string{s.URL, s.URL}}) // Retry-After is for the other one
	ctx := t.Context()
	if err := c.Mkdir(ctx, "/queuefs/q", 0o755); err != nil {
		t.Fatal(err)
	}
	lose := func() {
		lost := false
		s.Node.After(func(vfs.Request) error {
			if lost {
				return nil
			}
			lost = true
			return &vfs.Unknown{}
		})
	}
	for _, m := range []string{"a", "b"} {
		lose()
		if _, err := c.WriteFile(ctx, "/queuefs/q/enqueue", []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	if b, err := c.ReadFile(ctx, "/queuefs/q/dequeue"); err != nil || !bytes.Contains(b, []byte(`"data":"a"`)) {
		t.Errorf("took %s, %v", b, err)
	}
	if b, err := c.ReadFile(ctx, "/queuefs/q/size"); err != nil || string(b) != "1" {
		t.Errorf("left %s, %v", b, err)
	}
	lose()
	r, err := c.Open(ctx, "/queuefs/q/dequeue")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Contains(b, []byte(`"data":"b"`)) {
		t.Errorf("took %s, %v", b, err)
	}
}

// Mounts outside the log keep no keys, and are written all the same.
func TestDevices(t *testing.T) {
	_, c := start(t)
	if _, err := c.WriteFile(t.Context(), "/dev/null", []byte("gone")); err != nil {
		t.Error(err)
	}
	if _, err := c.Write(t.Context(), "/dev/null", strings.NewReader("gone"), -1); err != nil {
		t.Error(err)
	}
	if b, err := c.ReadFile(t.Context(), "/dev/null"); err != nil || len(b) != 0 {
		t.Errorf("read %q, %v", b, err)
	}
}

var oddNames = []string{"a b", "ünï·cødé", "100%", "%2F", "what?", "#1", "a&b=c", "+", "semi;colon", "..."}

func TestOddNames(t *testing.T) {
	_, c := start(t)
	for _, n := range oddNames {
		p := "/memfs/" + n
		if _, err := c.WriteFile(t.Context(), p, []byte(n)); err != nil {
			t.Errorf("%q: %v", n, err)
		}
		if b, err := c.ReadFile(t.Context(), p); string(b) != n || err != nil {
			t.Errorf("%q holds %q, %v", n, b, err)
		}
	}
	var names []string
	for i, err := range c.Entries(t.Context(), "/memfs") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, i.Name)
	}
	want := append([]string{"README"}, oddNames...)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("list %q, want %q", names, want)
	}
}

func TestListPages(t *testing.T) {
	_, c := start(t)
	const n = 2003
	for i := range n {
		if err := c.Create(t.Context(), fmt.Sprintf("/kvfs/keys/%05d", i)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.List(t.Context(), "/kvfs/keys")
	if err != nil || len(all) != n {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for i, e := range all {
		if e.Name != fmt.Sprintf("%05d", i) {
			t.Fatalf("entry %d is %s", i, e.Name)
		}
	}
	for i := range c.Entries(t.Context(), "/kvfs/keys") {
		if i.Name == "00001" {
			break // stops asking
		}
	}
}

// A large body that is refused before it was sent is told why.
func TestRefusedUpload(t *testing.T) {
	_, c := start(t)
	for range 20 {
		_, err := c.Write(t.Context(), "/nowhere/f", &zeros{}, 1<<30)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		_, err = c.Write(t.Context(), "/nowhere/g", onlyReader{&zeros{}}, -1)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A file of several chunks, from a file of this machine and back.
func TestLargeFile(t *testing.T) {
	_, c := start(t)
	data := make([]byte, 9<<20+17)
	for i := range data {
		data[i] = byte(i >> 10)
	}
	name := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := c.Write(t.Context(), "/memfs/large", f, int64(len(data))); err != nil {
		t.Fatal(err)
	}
	r, err := c.Open(t.Context(), "/memfs/large")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); !bytes.Equal(b, data) || err != nil {
		t.Errorf("%d bytes back, %v", len(b), err)
	}
}

func TestFS(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	for _, d := range []string{"dir", "dir/sub", "empty"} {
		if err := c.Mkdir(ctx, "/memfs/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n, content := range map[string]string{"f": "content", "dir/g": "short", "dir/sub/none": "", "dir/a b%": "x"} {
		if _, err := c.WriteFile(ctx, "/memfs/"+n, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(links map[string]string) {
		for name, target := range links {
			if err := c.Symlink(ctx, target, "/memfs/"+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	link(map[string]string{"link": "f", "dir/up": "../f", "dirlink": "dir", "far": "/memfs/dir/g"})
	fsys := c.FS(ctx, "/memfs")
	if err := fstest.TestFS(fsys, "README", "f", "dir/g", "dir/sub/none", "dir/a b%", "empty", "link", "dirlink"); err != nil {
		t.Error(err)
	}
	long := strings.Repeat("long ", 10000) // TestFS would ask for each byte of it, alone
	if _, err := c.WriteFile(ctx, "/memfs/dir/g", []byte(long)); err != nil {
		t.Fatal(err)
	}
	link(map[string]string{"dangling": "nowhere", "loop": "loop"}) // TestFS cannot open them
	for name, want := range map[string]string{"link": "content", "dir/up": "content", "dirlink/sub/none": "", "far": long} {
		if b, err := fs.ReadFile(fsys, name); string(b) != want || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if i, err := fs.Stat(fsys, "dir/up"); err != nil || i.Size() != 7 || !i.Mode().IsRegular() || i.Name() != "up" {
		t.Errorf("stat of a link: %v, %v", i, err)
	}
	if _, err := fs.Stat(fsys, "dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of a dangling link: %v", err)
	}
	if _, err := fs.Stat(fsys, "loop"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("stat of a loop: %v", err)
	}
	for _, bad := range []string{"/f", "../f", "dir/", ""} {
		if _, err := fsys.Open(bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("opened %q: %v", bad, err)
		}
	}
	checkFile(t, fsys)
}

// checkFile looks at what TestFS does not.
func checkFile(t *testing.T, fsys fs.FS) {
	f, err := fsys.Open("dir/g")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 7)
	if n, err := f.(io.ReaderAt).ReadAt(b, 49996); n != 4 || err != io.EOF || string(b[:n]) != "ong " {
		t.Errorf("ReadAt: %q, %v", b[:n], err)
	}
	if _, err := f.(io.ReaderAt).ReadAt(b, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("ReadAt(-1): %v", err)
	}
	if _, err := f.(io.Seeker).Seek(0, 9); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Seek from nowhere: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"Close": f.Close(), "Read": second(f.Read(b)), "ReadAt": second(f.(io.ReaderAt).ReadAt(b, 0))} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s of a closed file: %v", name, err)
		}
	}
}

func second(_ int, err error) error { return err }

// A walk takes nothing from a queue, even if it reads all it finds.
func TestFSTakesNothing(t *testing.T) {
	_, c := start(t)
	if _, err := c.WriteFile(t.Context(), "/queuefs/q/enqueue", []byte("job")); err != nil {
		t.Fatal(err)
	}
	fsys := c.FS(t.Context(), "/queuefs")
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, err = fs.ReadFile(fsys, p)
		f, oerr := fsys.Open(p)
		if oerr != nil {
			return oerr
		}
		defer f.Close()
		_, rerr := io.ReadAll(f)
		if strings.HasSuffix(p, "dequeue") && (err == nil || rerr == nil || d.Type().IsRegular()) {
			t.Errorf("%s was read: %v, %v", p, err, rerr)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if b, err := c.ReadFile(t.Context(), "/queuefs/q/size"); string(b) != "1" || err != nil {
		t.Errorf("left %s, %v", b, err)
	}
}
