package s3fs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
)

// front stands before the real server and spoils some requests.
type front struct {
	*httptest.Server
	mu    sync.Mutex
	spoil func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool // reports whether it has answered
}

func newFront(t *testing.T, s *s3server.Server) *front {
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host // the Host header, which is signed, stays
		r.Out.Host = r.In.Host
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		spoil := f.spoil
		f.mu.Unlock()
		if spoil == nil || !spoil(w, r, pass) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// set makes requests that are meant fail the first n times, by fault; n < 0 always.
func (f *front) set(n int, meant func(*http.Request) bool, fault func(http.ResponseWriter, *http.Request, http.Handler)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoil = func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		f.mu.Lock()
		hit := meant(r) && n != 0
		if hit {
			n--
		}
		f.mu.Unlock()
		if hit {
			fault(w, r, pass)
		}
		return hit
	}
}

func (f *front) heal() { f.set(0, func(*http.Request) bool { return false }, nil) }

func cut(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func busy(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
}

// lose lets the server do it, and loses its answer.
func lose(_ http.ResponseWriter, r *http.Request, pass http.Handler) {
	pass.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// half cuts an answer in its middle.
func half(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	rec := httptest.NewRecorder()
	pass.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func all(*http.Request) bool { return true }
func gets(r *http.Request) bool {
	return r.Method == "GET" && !strings.Contains(r.URL.RawQuery, "list-type")
}
func puts(r *http.Request) bool   { return r.Method == "PUT" }
func parts(r *http.Request) bool  { return r.Method == "PUT" && r.URL.Query().Has("partNumber") }
func finish(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }

// bay is a mount behind a front.
type bay struct {
	*testing.T
	*front
	fs *FS
}

func newBay(t *testing.T, s *s3server.Server, prefix string) *bay {
	b := &bay{T: t, front: newFront(t, s)}
	c := vfs.Config(s.Config())
	c[keyPrefix], c[keyEndpoint] = prefix, b.URL
	b.fs = started(t, c)
	return b
}

func started(t *testing.T, c vfs.Config) *FS {
	fs, err := Plugin().New(vfs.Env{Log: slog.New(slog.DiscardHandler)}, c)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	f.set.backoff = 20 * time.Millisecond
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (b *bay) put(p vfs.Path, r io.Reader, cond vfs.CondKind) (vfs.Result, error) {
	return b.fs.Put(b.Context(), vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate, If: vfs.Cond{Kind: cond}}, r)
}

// holds fails if the file is not what it should be, or parts are left.
func (b *bay) holds(p vfs.Path, want []byte) {
	b.Helper()
	got, err := b.read(p)
	if want == nil && vfs.KindOf(err) != vfs.NotFound || want != nil && (err != nil || !bytes.Equal(got, want)) {
		b.Errorf("%s: %d bytes, %v; expected %d", p, len(got), err, len(want))
	}
	out, err := b.fs.s3.ListMultipartUploads(b.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.fs.set.bucket, Prefix: aws.String(b.fs.set.keys.base)})
	if err != nil || len(out.Uploads) > 0 {
		b.Errorf("uploads are left: %+v, %v", out, err)
	}
}

func (b *bay) read(p vfs.Path) ([]byte, error) {
	r, err := b.fs.Stream(b.Context(), p, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func random(n int64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// A fault that passes is not noticed, and one that stays is told in bounded
// time, without anything half-written.
func TestFaults(t *testing.T) {
	b := newBay(t, s3server.Start(t), "faults")
	long, short := random(20<<20), []byte("short")
	for _, c := range []struct {
		name  string
		times int
		meant func(*http.Request) bool
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		data  []byte
		ok    bool
	}{
		{"503 twice", 2, all, busy, short, true},
		{"503 for a part twice", 2, parts, busy, long, true},
		{"a cut connection", 2, puts, cut, short, true},
		{"a cut connection in a part", 1, parts, cut, long, true},
		{"a lost answer", 1, puts, lose, short, true},
		{"a lost answer at the end", 1, finish, lose, long, true},
		{"503 for ever", -1, puts, busy, short, false},
		{"503 for parts for ever", -1, parts, busy, long, false},
		{"503 at the end for ever", -1, finish, busy, long, false},
		{"parts that are cut for ever", -1, parts, cut, long, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bay{T: t, front: b.front, fs: b.fs}
			p := vfs.Root.Child(c.name)
			b.set(c.times, c.meant, c.fault)
			r, err := b.put(p, bytes.NewReader(c.data), vfs.IfAbsent)
			b.heal()
			if c.ok {
				if err != nil || r.N != int64(len(c.data)) {
					t.Fatalf("%+v, %v", r, err)
				}
				b.holds(p, c.data)
				return
			}
			if vfs.KindOf(err) != vfs.Unavailable || !strings.Contains(err.Error(), "S3 server") {
				t.Errorf("%v", err)
			}
			b.holds(p, nil)
		})
	}
}

// What a reader gets is the content, whatever happens to connections, or an
// error; never less without one.
func TestBrokenReads(t *testing.T) {
	b := newBay(t, s3server.Start(t), "reads")
	data := random(3 << 20)
	if _, err := b.put("/f", bytes.NewReader(data), vfs.Always); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){"cut": cut, "half": half, "503": busy} {
		b.set(2, gets, fault)
		if got, err := b.read("/f"); err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		part := make([]byte, 1000)
		b.set(1, gets, fault)
		if n, err := b.fs.ReadAt(t.Context(), nil, "/f", part, 5); err != nil || !bytes.Equal(part[:n], data[5:1005]) {
			t.Errorf("%s: a part: %d bytes, %v", name, n, err)
		}
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){"cut": cut, "503": busy} {
		b.set(-1, gets, fault)
		if got, err := b.read("/f"); vfs.KindOf(err) != vfs.Unavailable {
			t.Errorf("%s for ever: %d bytes, %v", name, len(got), err)
		}
	}
	b.heal()
	// Replaced under a reader: no mixture.
	b.set(1, gets, half)
	r, err := b.fs.Stream(t.Context(), "/f", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.put("/f", bytes.NewReader(random(3 << 20)[1:]), vfs.Always); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); vfs.KindOf(err) != vfs.Unavailable || r.Close() != nil {
		t.Errorf("a mixture: %v", err)
	}
}

// A client that leaves in the middle leaves nothing.
func TestTornBody(t *testing.T) {
	b := newBay(t, s3server.Start(t), "torn")
	gone := errors.New("the client is gone")
	for _, n := range []int64{10, smallBody, firstPart, 2*firstPart + 100} {
		body := io.MultiReader(bytes.NewReader(random(n)), failing{gone})
		if _, err := b.put("/f", body, vfs.Always); !errors.Is(err, gone) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		b.holds("/f", nil)
	}
	for _, n := range []int64{0, smallBody - 1, smallBody, smallBody + 1, firstPart - 1, firstPart, firstPart + 1, 2 * firstPart} {
		if r, err := b.put("/f", bytes.NewReader(random(n)), vfs.Always); err != nil || r.N != n {
			t.Errorf("%d bytes: %+v, %v", n, r, err)
		}
		b.holds("/f", random(n))
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// What cannot work is told by the start, in words that say what to do.
func TestRefusedStarts(t *testing.T) {
	s := s3server.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	for _, c := range []struct {
		name, key, value string
		kind             vfs.Kind
		words            string
	}{
		{"wrong secret", keySecret, "wrong", vfs.Permission, "check access_key_id and secret_access_key"},
		{"wrong key", keyID, "nobody", vfs.Permission, "check access_key_id and secret_access_key"},
		{"missing bucket", keyBucket, "missing", vfs.Invalid, "does not exist"},
		{"nobody there", keyEndpoint, "http://127.0.0.1:1", vfs.Unavailable, "does not answer"},
		{"no such name", keyEndpoint, "http://s3.invalid", vfs.Unavailable, "S3 server"},
		{"metadata service", keyEndpoint, "http://169.254.169.254", vfs.Permission, "not to be reached"},
		{"the same in IPv6", keyEndpoint, "http://[::ffff:169.254.169.254]", vfs.Permission, "not to be reached"},
		{"no key", keyID, "", vfs.Invalid, "access_key_id and secret_access_key"},
		{"a path as bucket", keyBucket, "../x", vfs.Invalid, "bucket"},
		{"no URL", keyEndpoint, "ftp://x", vfs.Invalid, "endpoint"},
		{"a user in the URL", keyEndpoint, "http://a:b@x", vfs.Invalid, "endpoint"},
		{"slashes in the prefix", keyPrefix, "a//b", vfs.Invalid, "prefix"},
		{"dots in the prefix", keyPrefix, "a/../b", vfs.Invalid, "prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := vfs.Config(s.Config())
			settings[c.key] = c.value
			fs, err := Plugin().New(vfs.Env{}, settings)
			begun := time.Now()
			if err == nil {
				fs.(*FS).set.backoff = 20 * time.Millisecond
				err = fs.(*FS).Start(t.Context())
			}
			if vfs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v (%v)", err, vfs.KindOf(err))
			}
			if strings.Contains(err.Error(), s3server.Secret) {
				t.Errorf("the secret is told: %v", err)
			}
			if d := time.Since(begun); d > 30*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}
