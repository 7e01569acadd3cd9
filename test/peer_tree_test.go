package test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// peerStatuses makes the mistakes that clients make. Existing clients look for
// these words in the texts.
func peerStatuses(p *peer) {
	kv := p.dir + "-kv"
	p.mount("kvfs", kv, "")
	p.want(201, "POST", "/directories?path="+kv+"/keys/d", "")
	for _, d := range []string{p.dir, kv + "/keys"} {
		if d == p.dir {
			p.mkdir(d + "/d")
		}
		p.put(d+"/f", "x")
		p.put(d+"/d/below", "x")
		for _, c := range []struct {
			status            int
			method, route, in string
			words             string
		}{
			{404, "GET", "/files?path=" + d + "/no", "", "not found"},
			{404, "GET", "/stat?path=" + d + "/no", "", "not found"},
			{404, "GET", "/directories?path=" + d + "/no", "", "not found"},
			{404, "DELETE", "/files?path=" + d + "/no", "", "not found"},
			{404, "DELETE", "/files?path=" + d + "/no&recursive=true", "", "not found"},
			{404, "POST", "/rename?path=" + d + "/no", `{"newPath":"` + d + `/to"}`, "not found"},
			{404, "POST", "/chmod?path=" + d + "/no", `{"mode":420}`, "not found"},
			{404, "POST", "/truncate?path=" + d + "/no&size=1", "", "not found"},
			{404, "GET", "/readlink?path=" + d + "/no", "", "not found"},
			{404, "POST", "/handles/open?path=" + d + "/no", "", "not found"},
			{404, "POST", "/digest", `{"algorithm":"md5","path":"` + d + `/no"}`, "not found"},
			{404, "POST", "/grep", `{"pattern":"x","path":"` + d + `/no"}`, "not found"},
			{404, "POST", "/directories?path=" + d + "/no/d", "", "not found"},
			{409, "POST", "/files?path=" + d + "/f", "", "already exists"},
			{409, "POST", "/directories?path=" + d + "/d", "", "already exists"},
			{409, "POST", "/directories?path=" + d + "/f", "", "already exists"},
			{409, "DELETE", "/files?path=" + d + "/d", "", "not empty"},
			{400, "GET", "/files?path=" + d + "/d", "", "is a directory"},
			{400, "PUT", "/files?path=" + d + "/d", "x", "is a directory"},
			{400, "POST", "/truncate?path=" + d + "/d&size=0", "", "is a directory"},
			{400, "GET", "/directories?path=" + d + "/f", "", "not a directory"},
			{403, "PUT", "/files?path=/hellofs/hello", "x", "permission denied"},
			{403, "DELETE", "/files?path=" + p.dir + "-kv", "", "permission denied"},
			{403, "POST", "/directories?path=/nowhere", "", "permission denied"},
			{404, "PUT", "/files?path=/nowhere", "x", "not found"},
			{404, "POST", "/unmount", `{"path":"/nowhere"}`, "no mount at path"},
			{501, "POST", "/rename?path=" + d + "/f", `{"newPath":"/queuefs/f"}`, "different mounts"},
		} {
			if a := p.want(c.status, c.method, c.route, c.in); !strings.Contains(a.body, c.words) {
				p.Errorf("%s %s: %q is not in %s", c.method, c.route, c.words, a.body)
			}
		}
		p.reads(d+"/f", "x")
		p.reads(d+"/d/below", "x")
	}
}

// peerTouchDigest touches what is there and digests files of every kind.
func peerTouchDigest(p *peer) {
	f := p.dir + "/f"
	p.put(f, "hello world")
	var before, after struct {
		ModTime time.Time
		Mode    uint32
	}
	p.want(200, "POST", "/chmod?path="+f, `{"mode":384}`)
	p.json("GET", "/stat?path="+f, "", &before)
	p.want(200, "POST", "/touch?path="+f, "")
	p.json("GET", "/stat?path="+f, "", &after)
	if !after.ModTime.After(before.ModTime) || after.Mode != 0o600 {
		p.Errorf("touch: time from %v to %v, mode %o", before.ModTime, after.ModTime, after.Mode)
	}
	p.reads(f, "hello world")
	p.want(200, "POST", "/touch?path="+p.dir, "")
	p.want(200, "POST", "/touch?path="+p.dir+"/new", "")
	p.reads(p.dir+"/new", "")
	p.put("/kvfs/keys/peer14", "hello world")
	p.put("/queuefs/peer14/enqueue", "m")
	for _, c := range []struct{ path, md5, xxh3 string }{
		{f, "5eb63bbbe01eeed093cb22bb8f5acdc3", "a99b8775cc15b6c7"},
		{"/kvfs/keys/peer14", "5eb63bbbe01eeed093cb22bb8f5acdc3", "a99b8775cc15b6c7"},
		{"/queuefs/peer14/size", "c4ca4238a0b923820dcc509a6f75849b", ""},
		{p.dir + "/new", "d41d8cd98f00b204e9800998ecf8427e", ""},
		{"/hellofs/hello", "bea8252ff4e80f41719ea13cdf007273", ""},
		{"/serverinfofs/version", "", ""},
		{"/dev/null", "d41d8cd98f00b204e9800998ecf8427e", ""},
	} {
		for algorithm, want := range map[string]string{"md5": c.md5, "xxh3": c.xxh3} {
			var out struct{ Digest string }
			p.json("POST", "/digest", `{"algorithm":"`+algorithm+`","path":"`+c.path+`"}`, &out)
			if out.Digest == "" || want != "" && out.Digest != want {
				p.Errorf("%s of %s is %q, expected %q", algorithm, c.path, out.Digest, want)
			}
		}
	}
	p.want(400, "POST", "/digest", `{"algorithm":"md2","path":"`+f+`"}`)
}

// peerLinks makes every call through a link to a file and a link to a
// directory.
func peerLinks(p *peer) {
	d := p.dir
	p.mkdir(d + "/real")
	p.put(d+"/real/f", "content")
	p.link(d+"/dir", "real")
	p.link(d+"/l", "real/f")
	p.link(d+"/abs", d+"/dir/f")
	p.link(d+"/real/up", "../l")
	for _, through := range []string{d + "/l", d + "/abs", d + "/dir/f", d + "/dir/up"} {
		p.put(through, "content")
		p.reads(d+"/real/f", "content")
		p.want(200, "POST", "/truncate?path="+through+"&size=4", "")
		p.want(200, "PUT", "/files?path="+through+"&flags=append", "!")
		p.reads(d+"/real/f", "cont!")
		p.want(200, "POST", "/touch?path="+through, "")
		p.want(200, "POST", "/chmod?path="+through, `{"mode":384}`)
		if m := p.stat(d + "/real/f").Mode; m != 0o600 {
			p.Errorf("chmod through %s: mode %o", through, m)
		}
		p.want(200, "POST", "/chmod?path="+d+"/real/f", `{"mode":420}`)
		h := p.open(through, "flags=readwrite")
		p.want(200, "PUT", h+"/write", "CO")
		p.want(200, "DELETE", h, "")
		p.reads(through, "COnt!")
		p.json("POST", "/digest", `{"algorithm":"md5","path":"`+through+`"}`, &struct{}{})
		if got := p.grep(through, "COnt", false); len(got) != 1 || got[0].File != through {
			p.Errorf("grep through %s: %v", through, got)
		}
	}
	if e := p.stat(d + "/l"); e.Meta.Type != "symlink" {
		p.Errorf("stat of a link says %q", e.Meta.Type)
	}
	p.mount("hellofs", d+"/real/hello", "")
	if names := p.names(d + "/dir"); !slices.Equal(names, []string{"f", "hello", "up"}) {
		p.Errorf("a listing through a link shows %q", names)
	}
	p.reads(d+"/dir/hello/hello", "Hello, World!\n")
	p.want(200, "POST", "/rename?path="+d+"/dir/f", `{"newPath":"`+d+`/dir/g"}`)
	p.reads(d+"/real/g", "COnt!")
	p.want(404, "GET", "/files?path="+d+"/l", "")
	p.put(d+"/l", "made through the link")
	p.reads(d+"/real/f", "made through the link")
	p.mkdir(d + "/dir/sub")
	p.want(200, "DELETE", "/files?path="+d+"/dir&recursive=true", "")
	p.reads(d+"/real/g", "COnt!")
	p.want(404, "GET", "/stat?path="+d+"/dir", "")
	p.want(200, "DELETE", "/files?path="+d+"/l", "")
	p.reads(d+"/real/f", "made through the link")
	peerLinksAside(p)
}

// peerLinksAside has links over mounts, in a mount that knows none, in loops,
// and in a mount that goes.
func peerLinksAside(p *peer) {
	d := p.dir
	p.mount("queuefs", d+"-q", "")
	p.link(d+"/in", d+"-q/jobs/enqueue")
	p.want(201, "POST", "/directories?path="+d+"-q/jobs", "")
	p.put(d+"/in", "through a link")
	p.reads(d+"-q/jobs/size", "1")
	p.link(d+"-q/back", d+"/real/f")
	p.reads(d+"-q/back", "made through the link")
	p.want(200, "POST", "/unmount", `{"path":"`+d+`-q"}`)
	p.want(404, "GET", "/stat?path="+d+"-q/back", "")
	p.want(404, "GET", "/files?path="+d+"-q/back", "")
	p.link(d+"/a", "b")
	p.link(d+"/b", "a")
	if a := p.want(400, "GET", "/files?path="+d+"/a", ""); !strings.Contains(a.body, "too many levels of symbolic links") {
		p.Errorf("a loop: %s", a.body)
	}
	p.want(400, "GET", "/directories?path="+d+"/a/x", "")
	p.want(409, "POST", "/symlink?path="+d+"/a", `{"target":"c"}`)
	p.want(409, "POST", "/symlink?path="+d+"/real/f", `{"target":"c"}`)
	p.want(404, "POST", "/symlink?path="+d+"/none/l", `{"target":"c"}`)
}

// peerRouting mounts below a mount and uses names that begin alike.
func peerRouting(p *peer) {
	p.mount("memfs", p.dir+"-m", "")
	p.mount("memfs", p.dir+"-m/b", "")
	p.mount("memfs", p.dir+"-m/b/c/d", "")
	for _, f := range []string{"/bc", "/b.c", "/b-", "/b/bc", "/b/x", "/b/cc", "/b/c/d/e"} {
		f = p.dir + "-m" + f
		p.put(f, f)
		p.reads(f, f)
	}
	if names := p.names(p.dir + "-m"); !slices.Equal(names, []string{"README", "b", "b-", "b.c", "bc"}) {
		p.Errorf("listing of the outer mount: %q", names)
	}
	if names := p.names(p.dir + "-m/b/c"); !slices.Equal(names, []string{"d"}) {
		p.Errorf("listing above the inner mount: %q", names)
	}
	p.want(409, "POST", "/mount", `{"fstype":"memfs","path":"`+p.dir+`-m/b/"}`)
	p.want(200, "POST", "/unmount", `{"path":"`+p.dir+`-m/b"}`)
	p.reads(p.dir+"-m/bc", p.dir+"-m/bc")
	p.reads(p.dir+"-m/b/c/d/e", p.dir+"-m/b/c/d/e")
	p.want(404, "GET", "/files?path="+p.dir+"-m/b/x", "")
}

// peerMountBeside mounts and unmounts while others read and write.
func peerMountBeside(p *peer) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for client := range 8 {
		wg.Go(func() {
			f := fmt.Sprintf("%s/f%d", p.dir, client)
			for i := 0; !stop.Load() && !p.Failed(); i++ {
				start := time.Now()
				p.put(f, fmt.Sprint(i))
				p.reads(f, fmt.Sprint(i))
				h := p.open(f, "")
				p.want(200, "DELETE", h, "")
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			}
		})
	}
	for range 15 {
		p.mount("memfs", p.dir+"/m", "")
		p.put(p.dir+"/m/f", "x")
		p.want(400, "POST", "/mount", `{"fstype":"memfs","path":"`+p.dir+`/bad","config":{"nonsense":1}}`)
		p.want(200, "POST", "/unmount", `{"path":"`+p.dir+`/m"}`)
	}
	stop.Store(true)
	wg.Wait()
	if d := time.Duration(slowest.Load()); d > 30*time.Second {
		p.Errorf("a round of writes and reads took %v", d)
	}
}

// peerSettings mounts from YAML, from the sample file and by request, and
// looks for what the settings ask for.
func peerSettings(p *peer) {
	yaml := "plugins:\n  memfs:\n    path: /m\n    config:\n      init_dirs: [/home/user, tmp]\n" +
		"  kvfs:\n    path: /k\n    config:\n      initial_data: {welcome: hello, a/b: 7}\n"
	n := harness.Start(p, harness.Options{Config: func(int) string { return yaml }}).Nodes[0]
	w := newWeb(p, n)
	p.mount("memfs", p.dir+"/m", `{"init_dirs":["/home/user","tmp"]}`)
	p.mount("kvfs", p.dir+"/k", `{"initial_data":{"welcome":"hello","a/b":7}}`)
	for where, dir := range map[web]string{w: "", p.web: p.dir} {
		if names := where.names(dir + "/m"); !slices.Equal(names, []string{"README", "home", "tmp"}) {
			p.Errorf("init_dirs made %q", names)
		}
		if !where.stat(dir + "/m/home/user").IsDir {
			p.Error("/home/user is no directory")
		}
		where.reads(dir+"/k/keys/welcome", "hello")
		where.reads(dir+"/k/keys/a/b", "7")
	}
	bin := harness.Build(p)
	sample, err := harness.Output(filepath.Join(bin, "pfs-server"), "-print-sample-config")
	if err != nil {
		p.Fatal(err)
	}
	n = harness.Start(p, harness.Options{Config: func(int) string { return sample }}).Nodes[0]
	w = newWeb(p, n)
	var up []string
	mounted := func() bool {
		var out struct{ Mounts []mountShown }
		w.json("GET", "/mounts", "", &out)
		up = nil
		for _, m := range out.Mounts {
			if m.Status == "mounted" {
				up = append(up, m.Path)
			}
		}
		return slices.Equal(up, []string{"/dev", "/heartbeatfs", "/hellofs", "/kvfs", "/memfs", "/queuefs", "/serverinfofs", "/streamfs"})
	}
	if !harness.Poll(20*time.Second, mounted) {
		p.Errorf("the sample file mounts %q", up)
	}
	w.reads("/kvfs/keys/welcome", "hello")
}

// peerUnmount compares health, mounts and the tree as mounts come and go.
func peerUnmount(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	check := func(total int) {
		p.Helper()
		var health struct {
			Ready  bool
			Mounts struct{ Total, Pending, Mounted, Failed int }
		}
		var list struct{ Mounts []struct{ Path string } }
		if !harness.Poll(20*time.Second, func() bool { // it may be just starting
			w.json("GET", "/health", "", &health)
			w.json("GET", "/mounts", "", &list)
			m := health.Mounts
			return health.Ready && m.Total == total && m.Mounted == total && m.Pending+m.Failed == 0 && len(list.Mounts) == total
		}) {
			p.Errorf("%d mounts expected: health %+v, %d listed", total, health, len(list.Mounts))
		}
	}
	check(8)
	w.mount("memfs", "/x", "")
	w.put("/x/f", "kept")
	check(9)
	before := w.digest()
	for body, status := range map[string]int{
		`{"fstype":"memfs","path":"/y","config":{"init_dirs":7}}`:                                           400,
		`{"fstype":"memfs","path":"/y","config":{"unheard":"of"}}`:                                          400,
		`{"fstype":"nofs","path":"/y"}`:                                                                     400,
		`{"fstype":"queuefs","path":"/y","config":{"backend":"oracle"}}`:                                    400,
		`{"fstype":"memfs","path":"/x"}`:                                                                    409,
		`{"fstype":"kvfs","path":"/y","config":{"initial_data":{"` + strings.Repeat("k", 5000) + `":"v"}}}`: 400,
		`{"fstype":"memfs","path":"/"}`:                                                                     403,
	} {
		w.want(status, "POST", "/mount", body)
	}
	if w.digest() != before {
		p.Error("a mount that was refused changed the state")
	}
	check(9)
	w.want(200, "POST", "/unmount", `{"path":"/x"}`)
	check(8)
	w.want(404, "GET", "/files?path=/x/f", "")
	w.want(200, "POST", "/unmount", `{"path":"/hellofs"}`)
	check(7)
	w.mount("memfs", "/x", "")
	w.reads("/x/f", "kept")
	check(8)
	w.want(200, "GET", "/ready", "")
}

// peerSecrets mounts with a password and looks for it everywhere.
func peerSecrets(p *peer) {
	n := harness.Start(p, harness.Options{}).Nodes[0]
	w := newWeb(p, n)
	const canary = "hunter2-canary"
	w.mount("queuefs", "/q", `{"backend":"memory","password":"env:PFS_CANARY"}`)
	// Inline it is sealed before it enters the log of every node.
	inline := w.want(200, "POST", "/mount", `{"fstype":"queuefs","path":"/i","config":{"password":"`+canary+`"}}`)
	a := w.want(400, "POST", "/mount", `{"fstype":"queuefs","path":"/r","config":{"password":"`+canary+`","nonsense":"x"}}`)
	seen := []string{a.body}
	for _, route := range []string{"/mounts", "/plugins", "/cluster", "/health"} {
		seen = append(seen, w.want(200, "GET", route, "").body)
	}
	seen = append(seen, inline.body)
	log, err := os.ReadFile(n.Log)
	if err != nil {
		p.Fatal(err)
	}
	for _, s := range append(seen, string(log)) {
		if strings.Contains(s, canary) {
			p.Errorf("the password is in %.200s", s)
		}
	}
	if strings.Count(seen[1], `"password":"***"`) != 2 {
		p.Errorf("/mounts does not mask the password: %s", seen[1])
	}
	n.Kill()
	p.noneOnDisk(n.Dir, canary)
}

// noneOnDisk looks for a text in all files of a node that has stopped.
func (p *peer) noneOnDisk(dir, text string) {
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(text)) {
			p.Errorf("%s holds %q", name, text)
		}
		return err
	})
	if err != nil || files < 5 {
		p.Errorf("looked into %d files: %v", files, err)
	}
}

// peerNames uses names that the peer takes for one.
func peerNames(p *peer) {
	kv, q, table := p.dir+"-kv", p.dir+"-q", p.dir+"-sql"
	p.mount("sqlfs", table, fmt.Sprintf(`{"db_path":%q}`, filepath.Join(p.TempDir(), "db")))
	p.mount("kvfs", kv, "")
	p.mount("queuefs", q, "")
	names := []string{"a-b", "a.b", "a_b", "a%b", "aXb", "A-b", "a b", "a'; DROP TABLE t--", "é", "e\u0301"}
	for _, name := range names {
		e := url.QueryEscape(name)
		p.put(p.dir+"/"+e, name)
		p.put(kv+"/keys/"+e, name)
		p.put(table+"/"+e+"/f", name)
		p.want(201, "POST", "/directories?path="+q+"/"+e, "")
		p.put(q+"/"+e+"/enqueue", name)
	}
	p.put(kv+"/keys/d/a-b", "below")
	p.put(q+"/a/b/enqueue", "below")
	for _, name := range names {
		e := url.QueryEscape(name)
		p.reads(p.dir+"/"+e, name)
		p.reads(kv+"/keys/"+e, name)
		p.reads(q+"/"+e+"/size", "1")
	}
	p.want(200, "DELETE", "/files?path="+kv+"/keys/a_b", "")
	p.want(200, "DELETE", "/files?path="+table+"/a_b&recursive=true", "")
	for _, name := range []string{"a-b", "aXb", "A-b"} {
		p.reads(table+"/"+url.QueryEscape(name)+"/f", name)
	}
	if got := p.names(table); len(got) != len(names)-1 {
		p.Errorf("sqlfs: %q", got)
	}
	p.want(200, "DELETE", "/files?path="+q+"/a%25b&recursive=true", "")
	p.reads(kv+"/keys/a-b", "a-b")
	p.reads(kv+"/keys/d/a-b", "below")
	p.reads(q+"/aXb/size", "1")
	if got := p.names(kv + "/keys"); len(got) != len(names) || slices.Contains(got, "a_b") {
		p.Errorf("keys: %q", got)
	}
	if got := p.names(q); len(got) != len(names)+1 {
		p.Errorf("queues: %q", got)
	}
}
