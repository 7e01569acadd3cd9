package s3fs

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
)

// Settings come as YAML, JSON or text have them, and each does something.
func TestSettings(t *testing.T) {
	base := vfs.Config{keyBucket: "b1.example", keyID: "i", keySecret: "s"}
	for _, c := range []struct {
		with vfs.Config
		want func(settings) bool
	}{
		{nil, func(s settings) bool { return s.region == "us-east-1" && !s.pathStyle && !s.cache && s.keys.base == "" }},
		{nil, func(s settings) bool {
			return s.listTTL == 30*time.Second && s.statTTL == time.Minute && s.cacheSize == 1000
		}},
		{vfs.Config{keyRegion: "eu-west-1"}, func(s settings) bool { return s.region == "eu-west-1" }},
		{vfs.Config{keyEndpoint: "http://x:9000"}, func(s settings) bool { return s.endpoint == "http://x:9000" && s.pathStyle }},
		{vfs.Config{keyEndpoint: "x:9000"}, func(s settings) bool { return s.endpoint == "https://x:9000" }},
		{vfs.Config{keyEndpoint: "x:9000", keyPlainHTTP: true}, func(s settings) bool { return s.endpoint == "http://x:9000" }},
		{vfs.Config{keyEndpoint: "http://x", keyPathStyle: "false"}, func(s settings) bool { return !s.pathStyle }},
		{vfs.Config{keyPathStyle: true}, func(s settings) bool { return s.pathStyle }},
		{vfs.Config{keyPrefix: "a/b"}, func(s settings) bool { return s.keys.file("/c") == "a/b/c" && s.keys.dir("/") == "a/b/" }},
		{vfs.Config{keyPrefix: "/a/"}, func(s settings) bool { return s.keys.file("/c") == "a/c" }},
		{vfs.Config{keyPrefix: "a", keyStyle: "wrapped"}, func(s settings) bool { return s.keys.file("/c/d") == "__PREFIX__a__/c/d" }},
		{vfs.Config{keyCache: true, keyListTTL: 5, keyStatTTL: "1m30s"},
			func(s settings) bool { return s.cache && s.listTTL == 5*time.Second && s.statTTL == 90*time.Second }},
		{vfs.Config{keyCache: "true", keyListTTL: 5.0, keyCacheSize: 10.0}, func(s settings) bool { return s.cache && s.cacheSize == 10 }},
	} {
		all := maps.Clone(base)
		maps.Copy(all, c.with)
		if s, err := parse(all); err != nil || all.Check(params()) != nil || !c.want(s) {
			t.Errorf("%v: %+v, %v", c.with, s, err)
		}
	}
	for _, bad := range []vfs.Config{{keyStyle: "other"}, {keyCache: "maybe"}, {keyCacheSize: 0}, {keyListTTL: "-1s"},
		{keyEndpoint: "https://x", keyPlainHTTP: true}, {keyBucket: "a/b"}, {keyBucket: "a..b"}, {keyBucket: ""}} {
		all := maps.Clone(base)
		maps.Copy(all, bad)
		if _, err := parse(all); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// A tree that AGFS has written is there under its prefix.
func TestWrappedPrefix(t *testing.T) {
	s := s3server.Start(t)
	dir := filepath.Join(s.Dir, "__PREFIX__old__", "d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("of the peer"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := vfs.Config(s.Config())
	c[keyPrefix], c[keyStyle] = "old", styleWrapped
	b := make([]byte, 20)
	if n, _ := started(t, c).ReadAt(t.Context(), nil, "/d/f", b, 0); string(b[:n]) != "of the peer" {
		t.Errorf("%q", b[:n])
	}
}

// With the cache, what changes here shows at once, and what changes elsewhere
// when its time is over. Without it, everything does.
func TestCache(t *testing.T) {
	s := s3server.Start(t)
	c := vfs.Config(s.Config())
	c[keyPrefix] = "cache"
	plain := started(t, c)
	c = maps.Clone(c)
	c[keyCache] = true
	here, there := started(t, c), started(t, c)
	late := time.Now()
	here.cache.now = func() time.Time { return late }

	put := func(f *FS, p vfs.Path, text string) {
		op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: []byte(text)}
		if _, err := f.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(f *FS, size int64, names int) {
		t.Helper()
		i, err := f.Stat(t.Context(), nil, "/a/b/f")
		l, lerr := f.List(t.Context(), nil, "/a/b", "", 0)
		if err != nil || lerr != nil || i.Size != size || len(l) != names {
			t.Errorf("%d bytes, %d names, %v %v; expected %d and %d", i.Size, len(l), err, lerr, size, names)
		}
	}
	put(here, "/a/b/f", "1")
	shows(here, 1, 1)
	put(here, "/a/b/f", "22")
	shows(here, 2, 1)
	put(here, "/a/b/c/d/deep", "") // a directory that comes to be with what is below it
	shows(here, 2, 2)
	put(there, "/a/b/f", "333")
	put(there, "/a/b/g", "")
	shows(here, 2, 2)
	shows(plain, 3, 3)
	if got, err := (&bay{T: t, fs: here}).read("/a/b/f"); string(got) != "333" {
		t.Errorf("content is not to be kept: %q, %v", got, err)
	}
	late = late.Add(31 * time.Second)
	if l, err := here.List(t.Context(), nil, "/a/b", "", 0); err != nil || len(l) != 3 {
		t.Errorf("a listing after its time: %d names, %v", len(l), err)
	}
	late = late.Add(31 * time.Second)
	shows(here, 3, 3)
}

// The cache has a limit.
func TestCacheLimit(t *testing.T) {
	c := newCache(settings{cache: true, cacheSize: 10, statTTL: time.Hour, listTTL: time.Hour})
	for i := range 1000 {
		p := vfs.Root.Child(fmt.Sprint(i))
		c.keep(0, p, entry{etag: fmt.Sprint(i), Info: vfs.Info{Version: uint64(i + 1)}})
		c.keepList(0, p, "", 0, make([]vfs.Info, maxNames/4))
	}
	if len(c.stats) != 50 || len(c.lists) > 4 || c.names > maxNames || len(c.tags) > 10 {
		t.Errorf("%d files, %d listings with %d names, %d tags", len(c.stats), len(c.lists), c.names, len(c.tags))
	}
	c.changed("/")
	if len(c.stats) != 0 || len(c.lists) != 0 || c.names != 0 {
		t.Error("a change of the root forgets not all")
	}
	c.keep(0, "/x", entry{}) // asked for before the change
	if len(c.stats) != 0 {
		t.Error("what is from before a change is kept")
	}
}

// A failure is not taken for an absence.
func TestFailureIsNotAbsence(t *testing.T) {
	b := newBay(t, s3server.Start(t), "failures")
	if _, err := b.put("/d/f", bytes.NewReader(nil), vfs.Always); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){"503": busy, "cut": cut,
		"403": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(403) }} {
		b.set(-1, func(r *http.Request) bool { return r.Method == "HEAD" }, fault)
		for _, p := range []vfs.Path{"/d/f", "/d", "/none"} {
			if _, err := b.fs.Stat(t.Context(), nil, p); err == nil || vfs.KindOf(err) == vfs.NotFound {
				t.Errorf("%s: %s: %v", name, p, err)
			}
			op := vfs.Op{Verb: vfs.Create, Path: p}
			if _, err := b.fs.Do(t.Context(), op); err == nil || vfs.KindOf(err) == vfs.NotFound || vfs.KindOf(err) == vfs.Exists {
				t.Errorf("%s: create %s: %v", name, p, err)
			}
		}
	}
}
