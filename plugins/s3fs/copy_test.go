package s3fs

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
)

// copied are requests that have the server copy.
func copied(r *http.Request) bool { return puts(r) && r.Header.Get("x-amz-copy-source") != "" }

// newQuay is a bay whose server copies 11 MiB at once, and else in parts of 5.
func newQuay(t *testing.T, prefix string) *bay {
	b := newBay(t, s3server.Start(t), prefix)
	b.fs.set.copyMost, b.fs.set.copyPart = 11<<20, 5<<20
	return b
}

// TestLongCopies renames files, and a directory of them, that one request does
// not copy. The content passes on the server alone.
func TestLongCopies(t *testing.T) {
	b := newQuay(t, "a +%é")
	files := map[vfs.Path][]byte{"/d/short": []byte("short"), "/d/just": random(11 << 20), "/d/one more": random(11<<20 + 1),
		"/d/below/even+": random(15 << 20), "/d/below/odd%2F": random(16<<20 + 7)}
	for p, data := range files {
		if _, err := b.put(p, bytes.NewReader(data), vfs.Always); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var ranges []string
	b.set(-1, copied, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		mu.Lock()
		ranges = append(ranges, r.Header.Get("x-amz-copy-source-range"))
		mu.Unlock()
		pass.ServeHTTP(w, r)
	})
	if _, err := b.fs.Do(t.Context(), vfs.Op{Verb: vfs.Rename, Path: "/d", To: "/e"}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ranges)
	if want := []string{"", "", "bytes=0-5242879", "bytes=0-5242879", "bytes=0-5242879", "bytes=10485760-11534336", "bytes=10485760-15728639",
		"bytes=10485760-15728639", "bytes=15728640-16777222", "bytes=5242880-10485759", "bytes=5242880-10485759", "bytes=5242880-10485759"}; !slices.Equal(ranges, want) {
		t.Errorf("copied in parts: %q", ranges)
	}
	for p, data := range files {
		b.holds(p, nil)
		b.holds("/e"+p[2:], data)
	}
	before, err := b.fs.Stat(t.Context(), nil, "/e/one more")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.fs.Do(t.Context(), vfs.Op{Verb: vfs.Touch, Path: "/e/one more"}); err != nil {
		t.Error(err)
	}
	after, err := b.fs.Stat(t.Context(), nil, "/e/one more")
	if err != nil || after.ModTime.Before(before.ModTime) || after.Size != before.Size {
		t.Errorf("touched: %+v, %v", after, err)
	}
	b.holds("/e/one more", files["/d/one more"])
}

// TestLongCopyKeeps: what goes with an object goes with its copy.
func TestLongCopyKeeps(t *testing.T) {
	b := newQuay(t, "kept")
	key, data := b.fs.set.keys.file("/f"), random(12<<20)
	if _, err := b.fs.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.fs.set.bucket, Key: &key, Body: bytes.NewReader(data),
		ContentType: aws.String("video/mp4"), CacheControl: aws.String("no-store"), Metadata: map[string]string{"made-by": "somebody"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.fs.Do(t.Context(), vfs.Op{Verb: vfs.Rename, Path: "/f", To: "/g"}); err != nil {
		t.Fatal(err)
	}
	key = b.fs.set.keys.file("/g")
	h, err := b.fs.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.fs.set.bucket, Key: &key})
	if err != nil || aws.ToString(h.ContentType) != "video/mp4" || aws.ToString(h.CacheControl) != "no-store" || h.Metadata["made-by"] != "somebody" {
		t.Errorf("%v, %+v", err, h)
	}
	b.holds("/g", data)
}

// TestLongCopyFaults: a copy that does not come to its end leaves the old name as
// it was, and nothing else.
func TestLongCopyFaults(t *testing.T) {
	b := newQuay(t, "copies")
	data := random(13 << 20)
	another := map[string][]byte{"changed meanwhile": slices.Repeat([]byte("x"), len(data)), "shorter meanwhile": []byte("x")}
	change := func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "new ")+len("new "):]
		key := b.fs.set.keys.file(vfs.Root.Child(name))
		if _, err := b.fs.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.fs.set.bucket, Key: &key, Body: bytes.NewReader(another[name])}); err != nil {
			t.Error(err)
		}
		pass.ServeHTTP(w, r)
	}
	for _, c := range []struct {
		name  string
		times int
		meant func(*http.Request) bool
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		kind  vfs.Kind // 0: it is done
	}{
		{"503 for a part twice", 2, parts, busy, 0},
		{"a lost answer for a part", 1, parts, lose, 0},
		{"a lost answer at the end", 1, finish, lose, 0},
		{"503 for parts for ever", -1, parts, busy, vfs.Unavailable},
		{"parts that are cut for ever", -1, parts, cut, vfs.Unavailable},
		{"503 at the end for ever", -1, finish, busy, vfs.Unavailable},
		{"changed meanwhile", 1, parts, change, vfs.Conflict},
		{"shorter meanwhile", 1, parts, change, vfs.Conflict},
	} {
		from, to := vfs.Root.Child(c.name), vfs.Root.Child("new "+c.name)
		if _, err := b.put(from, bytes.NewReader(data), vfs.Always); err != nil {
			t.Fatal(err)
		}
		b.set(c.times, c.meant, c.fault)
		_, err := b.fs.Do(t.Context(), vfs.Op{Verb: vfs.Rename, Path: from, To: to})
		b.heal()
		switch {
		case c.kind == 0:
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			b.holds(from, nil)
			b.holds(to, data)
			continue
		case vfs.KindOf(err) != c.kind:
			t.Errorf("%s: %v", c.name, err)
		}
		was := data
		if c.kind == vfs.Conflict {
			was = another[c.name]
		}
		b.holds(from, was)
		b.holds(to, nil)
	}
}
