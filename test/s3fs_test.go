package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// seaport is three nodes and a bucket that all of them serve.
type seaport struct {
	*testing.T
	c *harness.Cluster
	s *s3server.Server
	w []web
}

func startSeaport(t *testing.T) *seaport {
	p := &seaport{T: t, c: harness.Start(t, harness.Options{Nodes: 3, Env: []string{"S3_TEST_SECRET=" + s3server.Secret}}), s: s3server.Start(t)}
	for _, n := range p.c.Nodes {
		p.w = append(p.w, newWeb(t, n))
	}
	p.w[0].mount("s3fs", "/s3", p.s.JSON("data"))
	for _, w := range p.w {
		w.upSoon("/s3")
	}
	return p
}

// object returns what the server has under a key.
func (p *seaport) object(key string) string {
	b, err := os.ReadFile(filepath.Join(p.s.Dir, filepath.FromSlash(key)))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestS3fs serves a bucket of a real S3 server through three nodes.
func TestS3fs(t *testing.T) {
	t.Parallel()
	p := startSeaport(t)
	p.everyVerb()
	p.conditions()
	p.longFile()
	p.manyKeys()
	p.leftOff()
	p.refused()
	p.secrets()
	p.serverGone()
}

// everyVerb makes each change through one node and looks at it through the
// others and on the server.
func (p *seaport) everyVerb() {
	for i := range 3 {
		w, next, d := p.w[i], p.w[(i+1)%3], fmt.Sprintf("/s3/d%d", i)
		w.mkdir(d)
		if a := w.put(d+"/f", "written"); a.header.Get("X-Pfs-Placement") != "external" {
			p.Errorf("headers: %v", a.header)
		}
		if got := p.object("data" + d[3:] + "/f"); got != "written" {
			p.Errorf("the object is %q", got)
		}
		next.reads(d+"/f", "written")
		if a := next.want(206, "GET", "/files?path="+d+"/f", "", "Range", "bytes=1-2"); a.body != "ri" {
			p.Errorf("a range: %q", a.body)
		}
		next.want(200, "POST", "/truncate?path="+d+"/f&size=3", "")
		w.want(501, "PUT", "/files?path="+d+"/f&flags=append", "!")
		w.want(200, "POST", "/rename?path="+d+"/f", `{"newPath":"`+d+`/g"}`)
		next.want(200, "POST", "/touch?path="+d+"/new", "")
		w.want(200, "POST", "/chmod?path="+d+"/g", `{"mode":384}`)
		if got := w.names(d); !slices.Equal(got, []string{"g", "new"}) {
			p.Errorf("listing: %q", got)
		}
		next.reads(d+"/g", "wri")
		w.want(409, "DELETE", "/files?path="+d, "")
		w.want(404, "GET", "/files?path="+d+"/none", "")
		w.want(409, "POST", "/directories?path="+d, "")
		w.want(200, "DELETE", "/files?path="+d+"/new&recursive=true", "") // of a file, too
		next.want(404, "GET", "/stat?path="+d+"/new", "")
		next.want(200, "DELETE", "/files?path="+d+"&recursive=true", "")
		w.want(404, "GET", "/stat?path="+d, "")
		if a := w.want(200, "GET", "/files?path=/s3/README", ""); !strings.Contains(a.body, "# s3fs") {
			p.Errorf("README: %.100q", a.body)
		}
		if got := w.names("/s3"); len(got) != 0 {
			p.Errorf("the root lists %q", got)
		}
	}
}

// conditions are held by the server: of many writers on all nodes one wins.
func (p *seaport) conditions() {
	tag := p.w[0].put("/s3/c", "one").header.Get("ETag")
	p.w[1].put("/s3/c", "two", "If-Match", tag)
	p.w[2].want(412, "PUT", "/files?path=/s3/c", "three", "If-Match", tag)
	p.w[0].want(412, "PUT", "/files?path=/s3/c", "three", "If-None-Match", "*")
	p.w[0].want(409, "PUT", "/files?path=/s3/c&flags=create,exclusive,truncate", "three")
	p.w[0].reads("/s3/c", "two")
	for round := range 10 {
		won := make(chan int, 9)
		for i := range 9 {
			go func() {
				a, err := p.w[i%3].patient("PUT", fmt.Sprintf("/files?path=/s3/race%d", round), fmt.Sprint(i), "If-None-Match", "*")
				if err != nil || a.status != 200 && a.status != 412 {
					p.Errorf("%v %+v", err, a)
				}
				if a.status != 200 {
					i = -1
				}
				won <- i
			}()
		}
		winner, winners := "", 0
		for range 9 {
			if i := <-won; i >= 0 {
				winner, winners = fmt.Sprint(i), winners+1
			}
		}
		if winners != 1 {
			p.Errorf("%d of 9 writers have made the file", winners)
			continue
		}
		p.w[0].reads(fmt.Sprintf("/s3/race%d", round), winner)
	}
}

// longFile sends a file up through one node and down through all. PFS_SOAK=1
// makes it 1 GiB.
func (p *seaport) longFile() {
	size := int64(64 << 20)
	if os.Getenv("PFS_SOAK") != "" {
		size = 1 << 30
	}
	var before []int64
	for _, n := range p.c.Nodes {
		before = append(before, n.RSS())
	}
	sum := sha256.New()
	src := rand.NewChaCha8([32]byte{7})
	a, err := p.w[0].do("PUT", "/files?path=/s3/long", io.TeeReader(io.LimitReader(src, size), sum))
	if err != nil || a.status != 200 {
		p.Fatalf("%v %+v", err, a)
	}
	for i := range 3 {
		resp, err := http.Get(p.w[i].url + "/files?path=/s3/long")
		if err != nil {
			p.Fatal(err)
		}
		got := sha256.New()
		n, err := io.Copy(got, resp.Body)
		resp.Body.Close()
		if err != nil || n != size || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			p.Errorf("node %d: %d bytes, %v", i, n, err)
		}
	}
	for i, n := range p.c.Nodes {
		grown := n.PeakRSS() - before[i]
		p.Logf("node %d: %d MiB up and down, RSS at most %d MiB more", i+1, size>>20, grown>>20)
		if grown > 128<<20 {
			p.Errorf("node %d grew by %d MiB", i+1, grown>>20)
		}
	}
	p.w[2].want(200, "DELETE", "/files?path=/s3/long", "")
}

// manyKeys lists 10,000 objects, whole and in pages. Names are such that the
// server's order is not that of names.
func (p *seaport) manyKeys() {
	dir := filepath.Join(p.s.Dir, "data", "many")
	var want []string
	for i := range 3334 {
		n := fmt.Sprintf("k%04d", i)
		want = append(want, n, n+"-b", n+".txt")
		for _, f := range []string{n + "/x", n + "-b", n + ".txt"} {
			at := filepath.Join(dir, filepath.FromSlash(f))
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				p.Fatal(err)
			}
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				p.Fatal(err)
			}
		}
	}
	if got := p.w[1].names("/s3/many"); !slices.Equal(got, want) {
		p.Errorf("%d names, not the %d that there are", len(got), len(want))
	}
	var paged []string
	for cursor := ""; ; {
		var out struct {
			Files []struct{ Name string }
			Next  string `json:"next_cursor"`
		}
		p.w[2].json("GET", "/directories?path=/s3/many&limit=777"+cursor, "", &out)
		for _, f := range out.Files {
			paged = append(paged, f.Name)
		}
		if out.Next == "" {
			break
		}
		cursor = "&cursor=" + out.Next
	}
	if !slices.Equal(paged, want) {
		p.Errorf("%d names in pages, not the %d that there are", len(paged), len(want))
	}
	p.w[0].want(200, "DELETE", "/files?path=/s3/many&recursive=true", "")
	p.w[1].want(404, "GET", "/stat?path=/s3/many", "")
}

// leftOff loses the client in the middle of a long file: the old content stays,
// and nothing half-written.
func (p *seaport) leftOff() {
	p.w[0].put("/s3/torn", "the old content")
	for i := range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.c.Nodes[i].URL, "http://"))
		if err != nil {
			p.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /api/v1/files?path=/s3/torn HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n%s", strings.Repeat("x", 20<<20))
		conn.Close()
	}
	parts := func() (left []string) {
		err := filepath.WalkDir(filepath.Join(p.s.Dir, ".sgwtmp"), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				left = append(left, name)
			}
			return nil
		})
		if err != nil {
			p.Error(err)
		}
		return left
	}
	if !harness.Poll(40*time.Second, func() bool { return len(parts()) == 0 }) {
		p.Errorf("parts are left: %q", parts())
	}
	p.w[1].reads("/s3/torn", "the old content")
}

// refused mounts what cannot work.
func (p *seaport) refused() {
	for i, m := range []struct {
		status                        int
		bucket, endpoint, key, secret string
		words                         string
	}{
		{400, "bucket", p.s.URL, s3server.KeyID, "wrong", "check access_key_id and secret_access_key"},
		{400, "bucket", p.s.URL, "nobody", s3server.Secret, "check access_key_id and secret_access_key"},
		{400, "missing", p.s.URL, s3server.KeyID, s3server.Secret, "the bucket missing does not exist"},
		{400, "../x", p.s.URL, s3server.KeyID, s3server.Secret, "bucket"},
		{400, "bucket", "http://169.254.169.254", s3server.KeyID, s3server.Secret, "not to be reached"},
		{503, "bucket", "http://127.0.0.1:1", s3server.KeyID, s3server.Secret, "does not answer"},
	} {
		a := p.w[i%3].want(m.status, "POST", "/mount", fmt.Sprintf(
			`{"fstype":"s3fs","path":"/bad","config":{"bucket":%q,"endpoint":%q,"access_key_id":%q,"secret_access_key":%q}}`,
			m.bucket, m.endpoint, m.key, m.secret))
		if !strings.Contains(a.body, m.words) || strings.Contains(a.body, s3server.Secret) {
			p.Errorf("%q is not in %s", m.words, a.body)
		}
	}
	a := p.w[0].want(400, "POST", "/mount", `{"fstype":"s3fs","path":"/bad","config":{"bucket":"b","access_key":"x"}}`)
	if !strings.Contains(a.body, "'access_key_id'") {
		p.Errorf("an unknown setting: %s", a.body)
	}
	if m := p.w[0].shown("/bad"); m.Path != "" {
		p.Errorf("a mount that was refused: %+v", m)
	}
}

// secrets are in no answer, log or file of a node, given inline or by name.
func (p *seaport) secrets() {
	p.w[1].mount("s3fs", "/byname", fmt.Sprintf(`{"bucket":"bucket","endpoint":%q,"access_key_id":%q,"secret_access_key":"env:S3_TEST_SECRET"}`,
		p.s.URL, s3server.KeyID))
	p.w[0].upSoon("/byname")
	p.w[2].readsSoon("/byname/data/torn", "the old content")
	for i, n := range p.c.Nodes {
		var seen []string
		for _, route := range []string{"/mounts", "/plugins", "/stat?path=/s3/torn", "/health"} {
			seen = append(seen, p.w[i].want(200, "GET", route, "").body)
		}
		if m := p.w[i].shown("/s3"); m.Placement != "shared" || m.Status != "mounted" || strings.Count(seen[0], `"secret_access_key":"***"`) != 2 {
			p.Errorf("%+v, %s", m, seen[0])
		}
		log, err := os.ReadFile(n.Log)
		if err != nil {
			p.Fatal(err)
		}
		for _, text := range append(seen, string(log)) {
			if strings.Contains(text, s3server.Secret) {
				p.Errorf("the secret is in %.200s", text)
			}
		}
		err = filepath.WalkDir(n.Dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // files come and go under a node that runs
			}
			if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(s3server.Secret)) {
				p.Errorf("the secret is in %s", name)
			}
			return nil
		})
		if err != nil {
			p.Error(err)
		}
	}
}

// serverGone kills the S3 server: clear errors in bounded time, and nothing
// else suffers.
func (p *seaport) serverGone() {
	p.s.Stop()
	var wg sync.WaitGroup
	for _, w := range p.w {
		for _, r := range []struct{ method, route, body string }{
			{"GET", "/files?path=/s3/torn", ""}, {"GET", "/directories?path=/s3", ""}, {"GET", "/stat?path=/s3/torn", ""},
			{"PUT", "/files?path=/s3/x", "x"}, {"DELETE", "/files?path=/s3/torn", ""},
		} {
			wg.Go(func() {
				start := time.Now()
				a := w.want(503, r.method, r.route, r.body)
				if took := time.Since(start); took > time.Minute || !strings.Contains(a.body, "the S3 server does not answer") {
					p.Errorf("%s %s after %v: %s", r.method, r.route, took, a.body)
				}
			})
		}
	}
	for n := range 20 {
		f := fmt.Sprintf("/memfs/gone%d", n)
		start := time.Now()
		p.w[n%3].put(f, "x")
		p.w[n%3].reads(f, "x")
		if took := time.Since(start); took > 30*time.Second {
			p.Errorf("a write to another mount took %v", took)
		}
	}
	wg.Wait()
}
