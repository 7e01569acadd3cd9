package test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/ports"
	"github.com/pfs-project/pfs/test/s3server"
	"github.com/pfs-project/pfs/vfs"
)

// vault is three nodes with mounts that have secrets, and all that was ever
// answered.
type vault struct {
	*testing.T
	c        *harness.Cluster
	w        []web
	db       *sqldbtest.Server
	s3       *s3server.Server
	canaries map[string]string // what is planted → where
	mu       sync.Mutex
	heard    map[string]string // what was said → its text
	said     int
}

// inTheOpen is a setting that is no secret: it shows that the sweep sees what
// there is to see. Like the canaries it is such that no compression hides it.
const inTheOpen = "q8Zr2WvK5tYn0BxJ"

// canary plants a text, and remembers where.
func (v *vault) canary(where string) string {
	name := rand.Text()[:16]
	v.canaries[name] = where
	return name
}

// hear remembers what was said.
func (v *vault) hear(what, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said++
	v.heard[fmt.Sprintf("%d %s", v.said, what)] = text
}

// ask sends a request to a node and remembers the answer.
func (v *vault) ask(node int, method, route, body string, headers ...string) answer {
	v.Helper()
	a, err := v.w[node].do(method, route, strings.NewReader(body), headers...)
	if err != nil {
		v.Errorf("%s %s: %v", method, route, err)
	}
	v.hear(method+" "+route, fmt.Sprint(a.body, a.header))
	return a
}

// patient is ask, again for two minutes while the node asks for patience and has done
// nothing, or would not do it twice, as clients do.
func (v *vault) patient(node int, method, route, body string, headers ...string) answer {
	v.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		a := v.ask(node, method, route, body, headers...)
		done := strings.Contains(a.body, `"outcome"`) && len(headers) == 0
		if a.status != 503 || a.header.Get("Retry-After") == "" || done || time.Now().After(end) {
			return a
		}
	}
}

// mounts mounts by request; status 0 is any but success.
func (v *vault) mounts(node, status int, plugin, path string, config map[string]any, headers ...string) answer {
	v.Helper()
	b, err := json.Marshal(map[string]any{"fstype": plugin, "path": path, "node": "n2", "config": config})
	if err != nil {
		v.Fatal(err)
	}
	send := v.patient
	if status == 0 {
		send = v.ask
	}
	a := send(node, "POST", "/mount", string(b), headers...)
	if status == 0 && a.status < 400 || status != 0 && a.status != status {
		v.Errorf("%s at %s: %d %s", plugin, path, a.status, a.body)
	}
	return a
}

// TestSecrets plants passwords in every secret setting, and where none belongs,
// and looks for them in all that a cluster says and keeps.
func TestSecrets(t *testing.T) {
	t.Parallel()
	v := &vault{T: t, db: sqldbtest.Start(t), s3: s3server.Start(t), heard: map[string]string{},
		canaries: map[string]string{s3server.KeyID: "access_key_id", s3server.Secret: "secret_access_key"}}
	file := filepath.Join(t.TempDir(), "password")
	byFile, byEnv := v.canary("file:PATH"), v.canary("env:NAME")
	if err := os.WriteFile(file, []byte(byFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.users(byFile, byEnv)
	plugins := t.TempDir()
	yaml := v.file() + fmt.Sprintf("external_plugins: {enabled: true, plugin_dir: %q}\n", plugins)
	module := wasmExample(t, plugins, "hello")
	admin := make([]string, 3)
	// They are never ready: a mount of the file never works.
	v.c = harness.Start(t, harness.Options{Nodes: 3, NoReady: true, Env: []string{"PFS_TEST_PASSWORD=" + byEnv}, Config: func(i int) string {
		admin[i] = ports.Free(t, 1)[0]
		return fmt.Sprintf("server: {log_level: debug, admin_address: %q}\n", admin[i]) + yaml
	}})
	for _, n := range v.c.Nodes {
		v.w = append(v.w, newWeb(t, n))
	}
	v.serve(v.w...)
	v.good(file)
	v.bad()
	v.thirdParty(module)
	v.use()
	for i, n := range v.c.Nodes {
		for _, url := range []string{n.URL + "/api/v1/metrics", "http://" + admin[i] + "/metrics", "http://" + admin[i] + "/debug/pprof/goroutine?debug=2",
			"http://" + admin[i] + "/debug/pprof/cmdline", "http://" + admin[i] + "/debug/vars"} {
			_, body := ask(t, url)
			v.hear(url, body)
		}
	}
	v.keep()
	v.sweep()
}

// serve waits until nodes have the mounts of the file, and so all plugins.
func (v *vault) serve(all ...web) {
	v.Helper()
	for _, w := range all {
		if !harness.Poll(60*time.Second, func() bool {
			a, err := w.do("GET", "/stat?path=/file-sql", nil)
			return err == nil && a.status == 200
		}) {
			v.Fatalf("%s does not answer", w.url)
		}
	}
}

// users makes the users of the database that mounts log in as.
func (v *vault) users(passwords ...string) {
	sql := ""
	for i, p := range append(passwords, v.canary("dsn, sqlfs"), v.canary("password, sqlfs"), v.canary("dsn, sqlfs2"), v.canary("password, sqlfs2"),
		v.canary("dsn, queues"), v.canary("password, queues"), v.canary("dsn, queues of the file")) {
		sql += fmt.Sprintf("CREATE USER u%d@localhost IDENTIFIED BY '%s'; GRANT ALL ON *.* TO u%d@localhost;\n", i, p, i)
	}
	out, err := exec.Command("mariadb", "--no-defaults", "--socket="+v.db.Socket(), "-uroot", "-e", sql).CombinedOutput()
	if err != nil {
		v.Fatalf("%v: %s", err, out)
	}
}

// planted returns the canary of a place.
func (v *vault) planted(where string) string {
	for name, at := range v.canaries {
		if at == where {
			return name
		}
	}
	v.Fatalf("nothing is planted in %s", where)
	return ""
}

func (v *vault) dsn(user int, password string) string {
	return fmt.Sprintf("u%d:%s@unix(%s)/files", user, password, v.db.Socket())
}

// file is mounts of the configuration file, one of which never works.
func (v *vault) file() string {
	return fmt.Sprintf(`
plugins:
  memfs: {path: /memfs}
  kvfs: {path: /kvfs, config: {initial_data: {open: %q}}}
  sqlfs: {path: /file-sql, config: {backend: mysql, dsn: %q}}
  s3fs:
    - {path: /file-s3, config: {bucket: bucket, endpoint: %q, access_key_id: %q, secret_access_key: %q, prefix: f}}
    - {path: /file-bad, config: {bucket: none, endpoint: %q, access_key_id: %q, secret_access_key: %q}}
  queuefs:
    - {path: /file-q, config: {password: %q}}
    - {path: /file-queues, config: {backend: mysql, dsn: %q}}
`, inTheOpen, v.dsn(2, v.planted("dsn, sqlfs")), v.s3.URL, s3server.KeyID, s3server.Secret,
		v.s3.URL, v.canary("access_key_id, refused, of the file"), v.canary("secret_access_key, refused, of the file"), v.canary("password, queuefs, of the file"), v.dsn(8, v.planted("dsn, queues of the file")))
}

// good mounts what works, with each secret inline and by name, through nodes
// that it does not live on.
func (v *vault) good(file string) {
	host := func(user int, password string) map[string]any {
		return map[string]any{"backend": "mysql", "host": v.db.Socket(), "user": fmt.Sprint("u", user), "password": password, "database": "files"}
	}
	v.mounts(0, 200, "sqlfs", "/sql1", host(3, v.planted("password, sqlfs")))
	v.mounts(1, 200, "sqlfs", "/sql2", host(0, "file:"+file))
	v.mounts(2, 200, "sqlfs", "/sql3", host(1, "env:PFS_TEST_PASSWORD"))
	v.mounts(0, 200, "sqlfs2", "/sql4", map[string]any{"backend": "tidb", "dsn": v.dsn(4, v.planted("dsn, sqlfs2"))}, "Idempotency-Key", "m4")
	v.mounts(0, 200, "sqlfs2", "/sql4", map[string]any{"backend": "tidb", "dsn": v.dsn(4, v.planted("dsn, sqlfs2"))}, "Idempotency-Key", "m4")
	v.mounts(2, 200, "sqlfs2", "/sql5", host(5, v.planted("password, sqlfs2")))
	v.mounts(0, 200, "sqlfs", "/lite", map[string]any{"db_path": filepath.Join(v.TempDir(), "db"), "password": v.canary("password beside SQLite"), "dsn": v.canary("dsn beside SQLite")})
	v.mounts(1, 200, "s3fs", "/s3", map[string]any{"bucket": v.s3.Bucket, "endpoint": v.s3.URL, "access_key_id": s3server.KeyID, "secret_access_key": s3server.Secret, "prefix": "r"})
	v.mounts(2, 200, "queuefs", "/q", map[string]any{"password": v.canary("password, queuefs"), "dsn": v.canary("dsn, queuefs")})
	v.mounts(0, 200, "queuefs", "/queues1", map[string]any{"backend": "mysql", "dsn": v.dsn(6, v.planted("dsn, queues"))}, "Idempotency-Key", "q1")
	v.mounts(0, 200, "queuefs", "/queues1", map[string]any{"backend": "mysql", "dsn": v.dsn(6, v.planted("dsn, queues"))}, "Idempotency-Key", "q1")
	v.mounts(1, 200, "queuefs", "/queues2", host(7, v.planted("password, queues")))
	v.mounts(2, 200, "queuefs", "/queues3", host(0, "file:"+file))
	v.mounts(0, 200, "queuefs", "/queues4", host(1, "env:PFS_TEST_PASSWORD"))
	v.mounts(1, 200, "queuefs", "/queues5", map[string]any{"backend": "sqlite", "db_path": filepath.Join(v.TempDir(), "q"), "password": v.canary("password beside queues in SQLite")})
	v.mounts(2, 200, "proxyfs", "/proxy", map[string]any{"base_url": newFar(v.T)})
}

func newFar(t *testing.T) string { return harness.Start(t, harness.Options{}).Nodes[0].URL }

// bad mounts what does not work, and puts secrets where none belongs.
func (v *vault) bad() {
	s3 := func(more map[string]any) map[string]any {
		m := map[string]any{"bucket": v.s3.Bucket, "endpoint": v.s3.URL, "access_key_id": v.canary("access_key_id, refused"), "secret_access_key": v.canary("secret_access_key, refused")}
		for k, x := range more {
			m[k] = x
		}
		return m
	}
	in := func(url string) string { return fmt.Sprintf(url, v.canary("a URL: "+url)) }
	for i, m := range []struct {
		plugin string
		config map[string]any
	}{
		{"s3fs", s3(nil)},
		{"s3fs", s3(map[string]any{"bucket": "nosuch"})},
		{"s3fs", s3(map[string]any{"endpoint": "http://127.0.0.1:1"})},
		{"s3fs", s3(map[string]any{"endpoint": in("http://user:%s@127.0.0.1:1")})},
		{"s3fs", s3(map[string]any{"cache_ttl": "soon", "unheard": v.canary("an unknown setting")})},
		{"s3fs", s3(map[string]any{"secret_access_key": []any{v.canary("a list")}})},
		{"s3fs", s3(map[string]any{"secret_access_key": map[string]any{"inner": v.canary("a map")}})},
		{"s3fs", s3(map[string]any{"secret_access_key": "env:" + v.canary("a name of the environment")})},
		{"s3fs", s3(map[string]any{"secret_access_key": "file:/" + v.canary("a path")})},
		{"s3fs", s3(map[string]any{"secret_access_key": "sealed:v1:" + v.canary("a sealed text")})},
		{"sqlfs", map[string]any{"backend": "mysql", "dsn": v.canary("no dsn")}},
		{"sqlfs", map[string]any{"backend": "mysql", "dsn": v.dsn(0, v.canary("a wrong password of a dsn"))}},
		{"sqlfs", map[string]any{"backend": "mysql", "dsn": in("u:%s@tcp(127.0.0.1:1)/d")}},
		{"sqlfs", map[string]any{"backend": "mysql", "dsn": in("u:%s@tcp(h)/d?allowAllFiles=true")}},
		{"sqlfs", map[string]any{"backend": "mysql", "host": in("u:%s@tcp(127.0.0.1:1)")}},
		{"sqlfs2", map[string]any{"backend": "tidb", "host": v.db.Socket(), "user": "u0", "password": v.canary("a wrong password")}},
		{"sqlfs2", map[string]any{"backend": "tidb", "pasword": v.canary("a misspelt setting")}},
		{"sqlfs2", map[string]any{"backend": "oracle", "password": v.canary("beside a bad backend")}},
		{"queuefs", map[string]any{"backend": "mysql", "host": v.db.Socket(), "user": "u0", "password": v.canary("a wrong password of queues")}},
		{"queuefs", map[string]any{"backend": "tidb", "dsn": v.dsn(0, v.canary("a wrong password of a dsn of queues"))}},
		{"queuefs", map[string]any{"backend": "mysql", "dsn": in("u:%s@tcp(127.0.0.1:2)/d")}},
		{"queuefs", map[string]any{"backend": "oracle", "password": v.canary("queues beside a bad backend")}},
		{"proxyfs", map[string]any{"base_url": in("http://user:%s@127.0.0.1:1/api/v1")}},
		{"proxyfs", map[string]any{"base_url": in("https://%s@127.0.0.1:1/api/v1")}},
		{"proxyfs", map[string]any{"base_urls": []any{"http://127.0.0.1:1", in("http://user:%s@127.0.0.1:2")}}},
		{"nosuchfs", map[string]any{"password": v.canary("a plugin that is not there")}},
	} {
		v.mounts(i%3, 0, m.plugin, fmt.Sprint("/bad", i), m.config, "Idempotency-Key", fmt.Sprint("bad", i))
		if text, ok := m.config["secret_access_key"].(string); ok && vfs.IsSecretRef(text) {
			continue // no secret: the log may have the name of one
		}
		// The path is in use, and a key is given: the Event may be in the log.
		v.mounts(i%3, 0, m.plugin, "/memfs", m.config, "Idempotency-Key", fmt.Sprint("there", i))
	}
	for _, body := range []string{`{"fstype":"s3fs","path":"/bad","config":%q}`, `{"fstype":"s3fs","path":%q,"config":7}`,
		`{"fstype":"s3fs","path":"/bad","config":{"secret_access_key":%q`, `{"fstype":"s3fs","config":{"secret_access_key":%q}}`} {
		if a := v.ask(0, "POST", "/mount", fmt.Sprintf(body, v.canary("a body like "+body))); a.status != 400 {
			v.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	out, errs, code := cli(v.T, v.c.Nodes[0], v.c.Bin, "mount", "s3fs", "/bad", "bucket=bucket", "secret_access_key="+v.canary("of the command line"))
	if code == 0 {
		v.Errorf("pfs mount: %s", out)
	}
	v.hear("pfs mount", out+errs)
	v.typos()
}

// thirdParty puts passwords into the settings of a plugin of somebody else, which
// says of none that it is secret.
func (v *vault) thirdParty(module string) {
	if a := v.patient(0, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q}`, module)); a.status != 200 {
		v.Errorf("%s: %d %s", module, a.status, a.body)
	}
	for node := range 3 { // the second and third are repeats
		v.mounts(node, 200, "hellofs-go", "/third", map[string]any{"greeting": "hi"}, "Idempotency-Key", "third")
	}
	for i, config := range []map[string]any{
		{"password": v.canary("a password of somebody's plugin")},
		{"from": "http://me:" + v.canary("a URL of somebody's plugin") + "@host/"},
		{"greeting": map[string]any{"token": v.canary("a map of somebody's plugin")}},
		{"env": "env:" + v.canary("a name of the environment of somebody's plugin")},
	} {
		v.mounts(i%3, 400, "hellofs-go", fmt.Sprint("/third", i), config, "Idempotency-Key", fmt.Sprint("third", i))
		v.mounts(i%3, 0, "hellofs-go", "/memfs", config, "Idempotency-Key", fmt.Sprint("third there", i))
	}
}

// typos starts a node, and checks its file, with mistakes beside passwords.
func (v *vault) typos() {
	for _, mistake := range []string{"pth: x", "config: {a: 1}", "  secret_access_key: y", "path: [", "\tpath: x", "enabled: 7"} {
		file := filepath.Join(v.TempDir(), "config.yaml")
		text := fmt.Sprintf("plugins:\n  s3fs:\n    path: /s3\n    config:\n      bucket: b\n      secret_access_key: %s\n    %s\n", v.canary("beside "+mistake), mistake)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			v.Fatal(err)
		}
		for program, args := range map[string][]string{"pfs": {"config", "validate", file},
			"pfs-server": {"-c", file, "-addr", "127.0.0.1:0", "-raft-addr", "127.0.0.1:0", "-data-dir", v.TempDir()}} {
			out, err := harness.Output(filepath.Join(v.c.Bin, program), args...)
			if err == nil || out == "" {
				v.Errorf("%s with %q: %s", program, mistake, out)
			}
			v.hear(program+" with "+mistake, out)
		}
	}
}

// use reads and writes through the mounts, while their servers are there and
// when they are gone, and asks every node for all that it tells of them.
func (v *vault) use() {
	paths := []string{"/file-sql", "/file-s3", "/sql1", "/sql2", "/sql3", "/lite", "/s3", "/proxy/memfs"}
	queues := []string{"/file-queues", "/queues1", "/queues2", "/queues3", "/queues4", "/queues5"}
	up := func() bool {
		return !slices.ContainsFunc(slices.Concat(paths, queues, []string{"/sql4", "/sql5"}), func(p string) bool {
			return slices.ContainsFunc(v.w, func(w web) bool { a, err := w.do("GET", "/stat?path="+p, nil); return err != nil || a.status != 200 })
		})
	}
	if !harness.Poll(60*time.Second, up) {
		v.Errorf("mounts are not up: %s", v.ask(0, "GET", "/mounts", "").body)
	}
	for round := range 2 {
		var wg sync.WaitGroup
		for i := range 3 {
			for _, p := range paths {
				wg.Go(func() { v.files(i, p, round == 0) })
			}
			for _, p := range queues {
				wg.Go(func() { v.messages(i, p, round == 0) })
			}
			wg.Go(func() { v.sessions(i, "/sql4") })
			wg.Go(func() { v.sessions(i, "/sql5") })
			for _, route := range []string{"/mounts", "/plugins", "/health", "/ready", "/cluster", "/directories?path=/", "/stat?path=/file-bad", "/files?path=/file-bad/x", "/files?path=/memfs/README"} {
				v.ask(i, "GET", route, "")
			}
		}
		wg.Wait()
		out, errs, _ := cli(v.T, v.c.Nodes[round], v.c.Bin, "mounts", "-o", "json")
		v.hear("pfs mounts", out+errs)
		if round == 0 {
			v.s3.Stop()
			v.db.Kill()
		}
	}
	v.db.Run(v) // so that the mounts come up again
}

// files does what is done with files, which works if the server is there.
func (v *vault) files(node int, p string, there bool) {
	send := v.ask
	if there {
		send = v.patient
	}
	if a := send(node, "PUT", "/files?path="+p+"/f", "content"); there && a.status != 200 {
		v.Errorf("%s through node %d: %d %s", p, node, a.status, a.body)
	}
	for _, route := range []string{"/files?path=" + p + "/f", "/files?path=" + p + "/none", "/stat?path=" + p, "/directories?path=" + p} {
		v.ask(node, "GET", route, "")
	}
}

// messages does what is done with queues, which works if the database is there.
func (v *vault) messages(node int, p string, there bool) {
	q := fmt.Sprintf("/files?path=%s/n%d/", p, node)
	for _, step := range []string{"PUT enqueue", "GET peek", "GET take&lease=1h", "PUT ack", "GET dequeue", "GET stats.json", "GET none"} {
		method, file, _ := strings.Cut(step, " ")
		send := v.ask
		if there && file == "enqueue" {
			send = v.patient
		}
		if a := send(node, method, q+file, "a message"); there && method+file == "PUTenqueue" && a.status != 200 {
			v.Errorf("%s through node %d: %d %s", p, node, a.status, a.body)
		}
	}
	v.ask(node, "GET", "/directories?path="+p, "")
}

// sessions runs SQL that works, and that does not.
func (v *vault) sessions(node int, p string) {
	s := p + "/" + strings.TrimSpace(v.ask(node, "GET", "/files?path="+p+"/ctl", "").body)
	for query, file := range map[string]string{"SELECT CURRENT_USER()": "/result", "SELECT nonsense": "/error"} {
		v.ask(node, "PUT", "/files?path="+s+"/query", query)
		v.ask(node, "GET", "/files?path="+s+file, "")
	}
}

// keep has every node take a snapshot, a new node take one in, and the cluster
// back itself up; then it stops.
func (v *vault) keep() {
	for i := range v.w {
		if a := v.patient(i, "POST", "/cluster/snapshot", "{}"); a.status != 200 {
			v.Errorf("snapshot: %d %s", a.status, a.body)
		}
	}
	v.serve(newWeb(v.T, v.c.Add("-log-level", "debug")))
	file := filepath.Join(v.TempDir(), "backup")
	out, errs, code := cli(v.T, v.c.Nodes[0], v.c.Bin, "cluster", "backup", file)
	if code != 0 {
		v.Errorf("backup: %s", errs)
	}
	v.hear("pfs cluster backup", out+errs)
	b, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(b, []byte(inTheOpen)) {
		v.Errorf("the backup does not even hold what is open: %d bytes, %v", len(b), err)
	}
	v.hear("the backup", string(b))
	v.c.KillAll()
	for _, n := range v.c.Nodes {
		out, err := harness.Output(filepath.Join(v.c.Bin, "pfs"), "debug", "log-dump", "--data", "--data-dir", n.Dir)
		if err != nil {
			v.Errorf("log-dump: %v %s", err, out)
		}
		v.hear("log-dump of "+n.ID, out)
		log, err := os.ReadFile(n.Log)
		if err != nil {
			v.Fatal(err)
		}
		if !bytes.Contains(log, []byte("DEBUG")) {
			v.Errorf("%s logs nothing at debug", n.ID)
		}
		v.hear("the log of "+n.ID, string(log))
	}
}

// forms are the ways in which a text may stand somewhere, begun at any byte.
func forms(text string) (out []string) {
	out = []string{text, url.QueryEscape(text), hex.EncodeToString([]byte(text))}
	for skip := range 3 {
		b := base64.RawStdEncoding.EncodeToString([]byte(text[skip:]))
		out = append(out, b[:len(b)-2]) // the end depends on what follows
	}
	return out
}

// sweep looks for every canary in all that was heard and kept.
func (v *vault) sweep() {
	type look struct{ canary, form string }
	var looks []look
	for name := range v.canaries {
		for _, f := range forms(name) {
			looks = append(looks, look{name, f})
		}
	}
	search := func(where, text string) {
		for _, l := range looks {
			if at := strings.Index(text, l.form); at >= 0 {
				v.Errorf("%s (%s) is in %s: %.200q", l.canary, v.canaries[l.canary], where, text[max(0, at-80):min(len(text), at+120)])
			}
		}
	}
	for what, text := range v.heard {
		search(what, text)
	}
	files := 0
	for _, n := range v.c.Nodes {
		open := 0
		err := filepath.WalkDir(n.Dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			files++
			if bytes.Contains(b, []byte(inTheOpen)) {
				open++
			}
			search(n.ID+" "+name, string(b))
			return err
		})
		if err != nil || open == 0 {
			v.Errorf("%s: what is open was seen in %d files: %v", n.ID, open, err)
		}
	}
	v.Logf("%d canaries in no answer or log of %d, and in no file of %d", len(v.canaries), len(v.heard), files)
}
