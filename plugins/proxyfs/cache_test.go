package proxyfs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pfs-project/pfs/plugins/proxyfs"
	"github.com/pfs-project/pfs/vfs"
)

// library serves files whose content says which version it is, and counts what
// it was asked for.
type library struct {
	version atomic.Uint64
	asked   atomic.Int64
	size    int
}

func (l *library) content(version uint64) string {
	return strings.Repeat(fmt.Sprint(version, " "), l.size)[:l.size]
}

// ServeHTTP answers one request.
func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v1/files" {
		fmt.Fprint(w, `{"name":"/","isDir":true}`)
		return
	}
	l.asked.Add(1)
	v := l.version.Load()
	if r.Header.Get("If-Match") != fmt.Sprintf("%q", fmt.Sprint(v)) {
		http.Error(w, `{"error":"stale","code":"stale"}`, 412)
		return
	}
	var off int
	_, _ = fmt.Sscan(r.FormValue("offset"), &off) // 0 without
	body := l.content(v)[off:]
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = io.WriteString(w, body) // to a test
}

func cached(t *testing.T, size int, most string) (*library, *proxyfs.FS) {
	l := &library{size: size}
	l.version.Store(1)
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL, "cache_size": most})
	if err != nil {
		t.Fatal(err)
	}
	return l, fs
}

// read reads n bytes, -1 for all, as the API does: it does not look for the end.
func read(t *testing.T, fs *proxyfs.FS, p vfs.Path, version uint64, off int64, n int) (string, error) {
	t.Helper()
	r, err := fs.Stream(t.Context(), p, version, off)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	return string(b), err
}

// What was read whole is not asked for again until the server tells another
// version, and never given as another one.
func TestCache(t *testing.T) {
	l, fs := cached(t, 1000, "1MB")
	want := func(asked int64, version uint64, off int64, n int) {
		t.Helper()
		b, err := read(t, fs, "/f", version, off, n)
		if err != nil || b != l.content(version)[off:int(off)+n] || l.asked.Load() != asked {
			t.Errorf("version %d: %d bytes, %v, asked %d times, expected %d", version, len(b), err, l.asked.Load(), asked)
		}
	}
	want(1, 1, 0, 500) // not all of it
	want(2, 1, 0, 1000)
	want(2, 1, 0, 1000)
	want(2, 1, 300, 700)
	l.version.Store(2)
	want(3, 2, 0, 1000)
	want(3, 2, 0, 1000)
	if _, err := read(t, fs, "/f", 1, 0, 1000); vfs.KindOf(err) != vfs.Stale {
		t.Errorf("an old version: %v", err)
	}
	if _, err := fs.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/reload", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	want(5, 2, 0, 1000)
	none, fs := cached(t, 1000, "0")
	for range 3 {
		if _, err := read(t, fs, "/f", 1, 0, 1000); err != nil {
			t.Error(err)
		}
	}
	if n := none.asked.Load(); n != 3 {
		t.Errorf("without a cache the server is asked %d times", n)
	}
}

// The cache holds no more than it may, and the last used; a file that takes more
// than its part is not kept.
func TestCacheBounds(t *testing.T) {
	l, fs := cached(t, 10_000, "80000")
	get := func(p string) {
		t.Helper()
		if b, err := read(t, fs, vfs.Path(p), 1, 0, 10_000); err != nil || b != l.content(1) {
			t.Errorf("%s: %d bytes, %v", p, len(b), err)
		}
	}
	for i := range 9 { // the first has to go
		get(fmt.Sprint("/f", i))
	}
	before := l.asked.Load()
	for i := range 8 {
		get(fmt.Sprint("/f", i+1))
	}
	if n := l.asked.Load() - before; n != 0 {
		t.Errorf("%d of eight files are not kept", n)
	}
	get("/f0")
	if n := l.asked.Load() - before; n != 1 {
		t.Error("nine files are kept where there is room for eight")
	}
	big, over := cached(t, 10_001, "80000")
	for range 2 {
		if _, err := read(t, over, "/f", 1, 0, 10_001); err != nil {
			t.Error(err)
		}
	}
	if big.asked.Load() != 2 {
		t.Error("a file of more than an eighth is kept")
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for k := range 50 {
				get(fmt.Sprint("/f", (i*k)%20))
			}
		})
	}
	wg.Wait()
}
