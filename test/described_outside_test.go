package test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// httpsFront is a server before another one, and the file with its authority.
func httpsFront(t *testing.T, to string) (base, authority string) {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(u))
	t.Cleanup(s.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, authority
}

// config is settings as JSON.
func (d *described) config(pairs ...any) string {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		d.Fatal(err)
	}
	return string(b)
}

// up waits for a mount of the file.
func (d *described) up(path string) {
	d.Helper()
	if !harness.Poll(30*time.Second, func() bool { return d.shown(path).Status == "mounted" }) {
		d.Fatalf("%s: %+v", path, d.shown(path))
	}
}

func describedSqlite(d *described) {
	d.up("/sqlfs")
	d.mounted("sqlfs", "/lite", d.config("backend", "sqlite3", "db_path", filepath.Join(d.dir, "lite.db"),
		"cache_enabled", "true", "cache_max_size", "10", "cache_ttl_seconds", "60"))
	for root, file := range map[string]string{"/sqlfs": "sqlfs.db", "/lite": "lite.db"} {
		for i := range 3 { // a listing is cached, and never stale
			text := strings.Repeat("row ", 10+i)
			d.put(root+"/a/b/c.txt", text)
			d.reads(root+"/a/b/c.txt", text)
			var out struct{ Files []entry }
			d.json("GET", "/directories?path="+root+"/a/b", "", &out)
			if len(out.Files) != 1 || out.Files[0].Size != int64(len(text)) {
				d.Errorf("%s lists %+v", root, out.Files)
			}
		}
		if !d.stat(root + "/a").IsDir {
			d.Errorf("%s/a is no directory", root)
		}
		if st, err := os.Stat(filepath.Join(d.dir, file)); err != nil || st.Size() == 0 {
			d.Errorf("%s: %v", file, err)
		}
	}
	d.want(400, "POST", "/mount", `{"fstype":"sqlfs","path":"/bad","config":{"backend":"sqlite","cache_ttl_seconds":"soon"}}`)
}

func describedServer(d *described) {
	out, err := exec.Command("mariadb", "--no-defaults", "--socket="+d.db.Socket(), "-uroot", "-e",
		"CREATE USER worker@localhost IDENTIFIED BY 'pass:w@rd'; GRANT ALL ON *.* TO worker@localhost").CombinedOutput()
	if err != nil {
		d.Fatalf("%v: %s", err, out)
	}
	d.mounted("sqlfs", "/tidb", d.config("backend", "tidb", "cache_enabled", false,
		"dsn", fmt.Sprintf("worker:pass:w@rd@unix(%s)/files?charset=utf8mb4", d.db.Socket())))
	for i, port := range []any{3306, "3306"} {
		d.mounted("sqlfs", fmt.Sprint("/mysql", i), d.config("backend", "mysql", "host", d.db.Socket(), "port", port, "user", "worker",
			"password", "pass:w@rd", "database", "files", "enable_tls", false, "tls_server_name", "db", "tls_skip_verify", "false"))
	}
	d.put("/tidb/shared/f", "written")
	for _, root := range []string{"/tidb", "/mysql0", "/mysql1"} {
		d.reads(root+"/shared/f", "written")
		if m := d.shown(root); m.Placement != "shared" {
			d.Errorf("%+v", m)
		}
	}
	a := d.want(400, "POST", "/mount", `{"fstype":"sqlfs","path":"/bad","config":`+d.config("backend", "mysql", "host", d.db.Socket(),
		"user", "worker", "password", "wrong")+`}`)
	if !strings.Contains(a.body, "refuses the user or the password") {
		d.Errorf("a wrong password: %s", a.body)
	}
}

// describedBackends keeps queues in databases, which two mounts may share.
func describedBackends(d *described) {
	fields := []any{"backend", "mysql", "host", d.db.Socket(), "user", "worker", "password", "pass:w@rd", "database", "queues",
		"enable_tls", false, "tls_server_name", "db", "tls_skip_verify", "false", "port"}
	d.mounted("queuefs", "/q-lite", d.config("backend", "sqlite", "db_path", filepath.Join(d.dir, "queue.db")))
	d.mounted("queuefs", "/q-tidb", d.config("backend", "tidb", "dsn", fmt.Sprintf("worker:pass:w@rd@unix(%s)/queues", d.db.Socket())))
	d.mounted("queuefs", "/q-mysql", d.config(append(fields, 3306)...))
	d.mounted("queuefs", "/q-mysql2", d.config(append(fields, "3306")...))
	for _, root := range []string{"/q-lite", "/q-tidb", "/q-mysql"} {
		d.messages(root + "/said" + root[2:])
		d.peeks(root + "/peeked" + root[2:])
		d.c.Run("", "mkdir", "-p", root+"/deep"+root[2:]+"/down")
		d.put(root+"/deep"+root[2:]+"/down/enqueue", "x")
		d.reads(root+"/deep"+root[2:]+"/down/size", "1")
		d.c.Run("", "rm", "-rf", root+"/deep"+root[2:])
	}
	d.mkdir("/q-tidb/shared")
	d.put("/q-tidb/shared/enqueue", "one")
	d.reads("/q-mysql/shared/size", "1")
	if a := d.want(200, "GET", "/files?path=/q-mysql2/shared/dequeue", ""); !strings.Contains(a.body, `"one"`) {
		d.Errorf("a queue of another mount gives %s", a.body)
	}
	d.reads("/q-tidb/shared/dequeue", "{}")
}

// describedNames keeps names apart that LIKE, case and collations take for one,
// and moves directories with all below them.
func describedNames(d *described) {
	names := []string{"a_b", "aXb", "a%b", "A_B", "a_b ", "e", "é", "e\u0301", "E", "ß", "ss", "a'b"}
	for _, root := range []string{"/sqlfs/names", "/tidb/names"} {
		at := func(name string) string { return url.QueryEscape(root + "/" + name) }
		for _, name := range names {
			d.put(at(name+"/f"), name)
			d.put(at("file-"+name), name)
		}
		for _, name := range names {
			d.reads(at(name+"/f"), name)
			d.reads(at("file-"+name), name)
		}
		if got := d.names(root); len(got) != 2*len(names) {
			d.Errorf("%s lists %q", root, got)
		}
		d.want(200, "DELETE", "/files?recursive=true&path="+at("a_b"), "")
		d.want(200, "POST", "/rename?path="+at("e"), `{"newPath":"`+root+`/moved"}`)
		for _, name := range names {
			switch name {
			case "a_b":
				d.want(404, "GET", "/stat?path="+at(name), "")
			case "e":
				d.reads(at("moved/f"), name)
			default:
				d.reads(at(name+"/f"), name)
			}
			d.reads(at("file-"+name), name)
		}
	}
}

func describedProxy(d *described) {
	plain := d.far.Nodes[0].URL + "/api/v1"
	d.mounted("proxyfs", "/plain", d.config("base_url", plain, "timeout", 30, "cache_size", "10MB"))
	d.mounted("proxyfs", "/tls", d.config("base_url", d.remote+"/api/v1", "timeout", "30s"))
	far := newWeb(d, d.far.Nodes[0])
	for i, root := range []string{"/plain", "/tls"} {
		at := fmt.Sprint("/memfs/p", i)
		d.mkdir(root + at)
		d.put(root+at+"/f", "0123456789")
		d.want(200, "PUT", "/files?flags=append&path="+root+at+"/f", "!")
		d.want(200, "PUT", "/files?offset=1&path="+root+at+"/f", "-")
		far.reads(at+"/f", "0-23456789!")
		d.want(200, "POST", "/truncate?size=4&path="+root+at+"/f", "")
		d.want(200, "POST", "/rename?path="+root+at+"/f", `{"newPath":"`+root+at+`/g"}`)
		d.want(200, "POST", "/chmod?path="+root+at+"/g", `{"mode":384}`)
		d.want(200, "POST", "/touch?path="+root+at+"/new", "")
		d.link(root+at+"/l", "g")
		d.reads(root+at+"/l", "0-23")
		if names := d.names(root + at); !slices.Equal(names, []string{"g", "l", "new"}) {
			d.Errorf("%s lists %q", root, names)
		}
		if far.stat(at+"/g").Mode != 0o600 {
			d.Errorf("chmod does not go through")
		}
		if a := d.want(206, "GET", "/files?path="+root+at+"/g", "", "Range", "bytes=1-2"); a.body != "-2" {
			d.Errorf("a range: %q", a.body)
		}
		var sum struct{ Digest string }
		d.json("POST", "/digest", `{"algorithm":"md5","path":"`+root+at+`/g"}`, &sum)
		if got := d.grep(root+at, "23", true); len(got) == 0 || sum.Digest == "" {
			d.Errorf("digest %q, grep %v", sum.Digest, got)
		}
		h := d.open(root+at+"/g", "flags=readwrite")
		d.want(200, "PUT", h+"/write?offset=0", "ZZ")
		d.want(200, "DELETE", h, "")
		far.reads(at+"/g", "ZZ23")
		far.put(fmt.Sprint("/streamfs/s", i), "live")
		r := d.tune(d.Context(), fmt.Sprint(root, "/streamfs/s", i, "&from=oldest"))
		b := make([]byte, 8)
		if _, err := io.ReadFull(r.Body, b[:4]); err != nil || string(b[:4]) != "live" {
			d.Errorf("a stream: %q, %v", b, err)
		}
		d.put(fmt.Sprint(root, "/streamfs/s", i), "more")
		if _, err := io.ReadFull(r.Body, b[:4]); err != nil || string(b[:4]) != "more" {
			d.Errorf("a stream: %q, %v", b, err)
		}
		for route, words := range map[string]string{"GET /files?path=" + root + at + "/none": "not found", "GET /files?path=" + root + at: "is a directory",
			"DELETE /files?path=" + root + at: "not empty", "PUT /files?path=" + root + "/hellofs/hello": "permission denied"} {
			method, path, _ := strings.Cut(route, " ")
			a, err := d.patient(method, path, "x")
			if err != nil || a.status/100 != 4 || !strings.Contains(a.body, words) {
				d.Errorf("%s: %v %d %s", route, err, a.status, a.body)
			}
		}
		d.want(200, "DELETE", "/files?recursive=true&path="+root+at, "")
		far.want(404, "GET", "/stat?path="+at, "")
	}
	plugins := d.want(200, "GET", "/plugins", "").body
	if !strings.Contains(plugins, `"default":"30s"`) {
		d.Errorf("a default of 30s is not in %.300s", plugins)
	}
}

func describedProxyAway(d *described) {
	for config, words := range map[string]string{
		`{"base_url":"http://127.0.0.1:1/api/v1"}`:                                     "is not well",
		`{"base_url":"https://127.0.0.1:1/api/v1"}`:                                    "is not well",
		`{"base_url":"` + strings.Replace(d.far.Nodes[0].URL, "http://", "", 1) + `"}`: "base_url",
		`{}`: "base_url is required",
	} {
		a, err := d.do("POST", "/mount", strings.NewReader(`{"fstype":"proxyfs","path":"/away","config":`+config+`}`))
		if err != nil || a.status != 503 && a.status != 400 || !strings.Contains(a.body, words) {
			d.Errorf("%s: %v %d %s", config, err, a.status, a.body)
		}
	}
	if m := d.shown("/away"); m.Path != "" {
		d.Errorf("%+v", m)
	}
}

// describedReload has a remote that is well, and one that only answers for files.
func describedReload(d *described) {
	u, err := url.Parse(d.far.Nodes[0].URL)
	if err != nil {
		d.Fatal(err)
	}
	var ill atomic.Bool
	pass := httputil.NewSingleHostReverseProxy(u)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ill.Load() && r.URL.Path != "/api/v1/files" {
			http.Error(w, "ill", http.StatusBadGateway)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	defer front.Close()
	newWeb(d, d.far.Nodes[0]).put("/memfs/reloaded", "x")
	d.mounted("proxyfs", "/again", d.config("base_url", front.URL+"/api/v1"))
	e := d.stat("/again/reload")
	if e.Mode != 0o200 || e.Meta.Type != "control" || e.Meta.Content["description"] == "" {
		d.Errorf("%+v", e)
	}
	if a := d.put("/again/reload", "anything"); !strings.Contains(a.body, "ProxyFS reloaded successfully") {
		d.Errorf("%s", a.body)
	}
	ill.Store(true)
	a, err := d.do("PUT", "/files?path=/again/reload", strings.NewReader("x"))
	if err != nil || a.status != 503 || !strings.Contains(a.body, "is not well") {
		d.Errorf("%v %d %s", err, a.status, a.body)
	}
	if b, err := d.do("GET", "/files?path=/again/memfs/reloaded", nil); err != nil || b.status >= 500 && strings.Contains(b.body, "not started") {
		d.Errorf("after a reload that failed: %v %+v", err, b)
	}
	ill.Store(false)
	if a := d.put("/again/reload", ""); !strings.Contains(a.body, "ProxyFS reloaded successfully") {
		d.Errorf("%s", a.body)
	}
	d.reads("/again/memfs/reloaded", "x")
}

func describedS3(d *described) {
	d.mounted("s3fs", "/s3", d.config("region", "us-east-1", "bucket", d.s3.Bucket, "access_key_id", s3server.KeyID,
		"secret_access_key", s3server.Secret, "prefix", "some/prefix", "endpoint", d.s3.URL))
	d.mkdir("/s3/d")
	d.put("/s3/d/f", "object")
	d.reads("/s3/d/f", "object")
	if b, err := os.ReadFile(filepath.Join(d.s3.Dir, "some/prefix/d/f")); err != nil || string(b) != "object" {
		d.Errorf("the server has %q, %v", b, err)
	}
	if names := d.names("/s3"); !slices.Equal(names, []string{"d"}) {
		d.Errorf("listing: %q", names)
	}
}

func describedLocal(d *described) {
	d.up("/local/home")
	d.up("/local/data")
	d.mounted("localfs", "/local/more", d.config("local_dir", filepath.Join(d.dir, "more")))
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, name := range []string{"home", "data", "more"} {
		root, host := "/local/"+name, filepath.Join(d.dir, name)
		file := filepath.Join(host, "kept")
		if err := os.WriteFile(file, []byte("on disk"), 0o640); err != nil {
			d.Fatal(err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			d.Fatal(err)
		}
		var e struct {
			Mode    uint32
			ModTime time.Time
		}
		d.json("GET", "/stat?path="+root+"/kept", "", &e)
		if e.Mode != 0o640 || !e.ModTime.Equal(old) {
			d.Errorf("%s: %+v", name, e)
		}
		d.reads(root+"/kept", "on disk")
		d.put(root+"/kept", "replaced")
		d.want(200, "POST", "/chmod?path="+root+"/kept", `{"mode":384}`)
		d.put(root+"/kept", "again")
		st, err := os.Stat(file)
		if b, rerr := os.ReadFile(file); err != nil || rerr != nil || st.Mode().Perm() != 0o600 || string(b) != "again" {
			d.Errorf("%s has %q, %v %v %v", file, b, st, err, rerr)
		}
		d.want(200, "POST", "/rename?path="+root+"/kept", `{"newPath":"`+root+`/moved"}`)
		if _, err := os.Stat(filepath.Join(host, "moved")); err != nil {
			d.Error(err)
		}
	}
	a := d.want(400, "POST", "/mount", `{"fstype":"localfs","path":"/bad","config":{"local_dir":"/no/such/dir"}}`)
	if !strings.Contains(a.body, "local_dir") && !strings.Contains(a.body, "/no/such/dir") {
		d.Errorf("%s", a.body)
	}
}

func describedStatus(d *described) {
	d.mounted("httpfs", "/web3", d.config("pfs_path", "/memfs", "http_port", fmt.Sprint(d.ports[2])))
	d.mounted("httpfs", "/web4", d.config("agfs_path", "/memfs/home", "port", d.ports[3]))
	source := []string{"/memfs", "/memfs/home", "/memfs", "/memfs/home"}
	for i, path := range []string{"/web", "/web2", "/web3", "/web4"} {
		d.up(path)
		(&shop{d.web, d.ports[i]}).opens()
		body := d.want(200, "GET", "/files?path="+path, "").body
		for _, want := range []string{"HTTPFS Instance Status\n", "Virtual Path:    " + path + "\n", "PFS Source Path: " + source[i] + "\n",
			fmt.Sprintf("HTTP Port:       %d\n", d.ports[i]), fmt.Sprintf("http://127.0.0.1:%d/", d.ports[i]), "Server Status:   Running\n", "Uptime:          ", "curl "} {
			if !strings.Contains(body, want) {
				d.Errorf("%s: no %q in\n%s", path, want, body)
			}
		}
		e := d.stat(path)
		if e.IsDir || e.Mode != 0o444 || e.Meta.Type != "virtual" {
			d.Errorf("%s: %+v", path, e)
		}
		d.want(403, "PUT", "/files?path="+path, "x")
		s := &shop{d.web, d.ports[i]}
		if resp, page := s.visit("GET", "/"); resp.StatusCode != 200 || !strings.Contains(page, "<table>") {
			d.Errorf("%s: %d %.200s", path, resp.StatusCode, page)
		}
	}
	for body, words := range map[string]string{`{}`: "pfs_path is required", `{"pfs_path":"/memfs","http_port":"many"}`: "must be an integer",
		`{"pfs_path":"/memfs","agfs_path":"/x"}`: "are the same setting"} {
		if a := d.want(400, "POST", "/mount", `{"fstype":"httpfs","path":"/bad","config":`+body+`}`); !strings.Contains(a.body, words) {
			d.Errorf("%s: %s", body, a.body)
		}
	}
}

func describedReadmes(d *described) {
	d.up("/web")
	s := &shop{d.web, d.ports[0]}
	s.opens()
	for _, name := range []string{"README", "README.md", "README.txt", "readme.md"} {
		dir := "/memfs/home/with-" + name
		d.mkdir(dir)
		d.put(dir+"/"+name, "# Words of "+name)
		_, page := s.visit("GET", dir[len("/memfs"):]+"/")
		_, shown, ok := strings.Cut(page, "<article")
		if !ok || !strings.Contains(shown, "Words of "+name) {
			d.Errorf("%s is not shown in\n%s", name, page)
		}
		if rendered := strings.Contains(shown, ">Words of "+name+"</h1>"); rendered != strings.HasSuffix(name, ".md") {
			d.Errorf("%s: rendered %v:\n%s", name, rendered, shown)
		}
	}
}
