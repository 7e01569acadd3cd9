package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// promise is a part of what a built-in plugin is described as, and what shows
// it: a test here, or the name of one elsewhere.
type promise struct {
	plugin, name string
	test         func(d *described)
	elsewhere    string
}

// promises are all of the table of built-in plugins.
func promises() []promise {
	return []promise{
		{"serverinfofs", "version, uptime, stats", describedServerinfo, ""},
		{"sqlfs", "backend tidb or mysql, dsn or fields", describedServer, ""}, // makes the user of the others
		{"memfs", "init_dirs exist after the mount", describedMemfs, ""},
		{"queuefs", "mkdir, README, five files in each queue", describedQueue, ""},
		{"queuefs", "JSON of a message, {} and 0", describedMessage, ""},
		{"queuefs", "peek has the time of the newest message", describedPeek, ""},
		{"queuefs", "bytes are kept, pfs drops one newline", describedBytes, ""},
		{"queuefs", "backends sqlite, tidb and mysql", describedBackends, ""},
		{"queuefs", "nothing is lost or given twice", nil, "TestQueueWorkers"},
		{"kvfs", "keys and initial_data", describedKvfs, ""},
		{"streamfs", "written and read at once, buffer_size", describedStream, ""},
		{"streamfs", "memory never overflows", nil, "TestStream"},
		{"sqlfs", "backend sqlite, db_path, cache, parents", describedSqlite, ""},
		{"sqlfs", "names and moves on both backends", describedNames, ""},
		{"sqlfs", "files survive kills", nil, "TestSqlfs"},
		{"proxyfs", "base_url, http and https, everything goes through", describedProxy, ""},
		{"proxyfs", "unreachable fails the mount", describedProxyAway, ""},
		{"proxyfs", "reload swaps only on success", describedReload, ""},
		{"proxyfs", "from one remote to another by one cp", nil, "TestFederation"},
		{"s3fs", "region, bucket, keys, prefix, endpoint", describedS3, ""},
		{"s3fs", "large files in bounded memory", nil, "TestS3fs"},
		{"localfs", "local_dir in place, modes and times kept", describedLocal, ""},
		{"localfs", "large files streamed, all nodes", nil, "TestLocalfs"},
		{"httpfs", "the mount path reads as a status file", describedStatus, ""},
		{"httpfs", "README, README.md and README.txt inline", describedReadmes, ""},
		{"httpfs", "several instances, unmount frees the port", nil, "TestHTTPFSStatus"},
		{"httpfs", "in a browser", nil, "TestHTTPFSInBrowser"},
		{"hellofs", "the small example", describedHello, ""},
	}
}

// settings are those that the description names, both spellings of each; every
// one is used by a mount that works.
func settings() map[string]string {
	return map[string]string{
		"serverinfofs": "version",
		"memfs":        "init_dirs",
		"queuefs":      "backend db_path host port user password database enable_tls tls_server_name tls_skip_verify dsn",
		"kvfs":         "initial_data",
		"streamfs":     "buffer_size ring_buffer_size channel_buffer_size",
		"sqlfs": "backend db_path dsn user password host port database cache_enabled cache_max_size cache_ttl_seconds" +
			" enable_tls tls_server_name tls_skip_verify",
		"proxyfs": "base_url timeout cache_size",
		"s3fs":    "region bucket access_key_id secret_access_key prefix endpoint",
		"localfs": "local_dir",
		"httpfs":  "pfs_path agfs_path http_port port host",
		"hellofs": "",
	}
}

// described is where a promise is tested: a node whose file mounts plugins in
// every form that is described.
type described struct {
	*testing.T
	web
	*place
}

// place is what all of these tests share.
type place struct {
	c      *harness.Cluster
	far    *harness.Cluster // another cluster
	dir    string           // of the disk
	ports  []int            // of httpfs
	db     *sqldbtest.Server
	s3     *s3server.Server
	remote string            // https, before far
	used   map[string]string // plugin → its settings that a mount has used
}

// file is the configuration of the node. Single objects, lists and keys with a
// suffix stand beside each other, and values are numbers and texts.
func (p *place) file() string {
	return fmt.Sprintf(`
server: {log_level: debug}
external_plugins: {enabled: true, plugin_dir: ./plugins, auto_load: false, plugin_paths: [a.so, b.wasm]}
plugins:
  serverinfofs: {enabled: true, path: /serverinfofs, config: {version: "9.8.7"}}
  memfs: {enabled: true, path: /memfs, config: {init_dirs: [/home, /tmp]}}
  queuefs: {enabled: true, path: /queuefs, config: {backend: memory}}
  kvfs: {enabled: true, path: /kvfs, config: {initial_data: {welcome: "Hello World", n: 7, "a/b": "deep"}}}
  streamfs:
    - {name: tv, enabled: true, path: /streamfs, config: {buffer_size: "1MB"}}
    - {name: off, enabled: false, path: /streamoff}
    - {name: radio, enabled: true, path: /radio, config: {ring_buffer_size: 65536, channel_buffer_size: "0.5MB"}}
  sqlfs:
    enabled: true
    path: /sqlfs
    config: {backend: sqlite, db_path: %[1]s/sqlfs.db, cache_enabled: true, cache_max_size: 1000, cache_ttl_seconds: 5}
  localfs_home: {enabled: true, path: /local/home, config: {local_dir: %[1]s/home}}
  localfs_data: {enabled: true, path: /local/data, config: {local_dir: %[1]s/data}}
  httpfs:
    - {name: new, enabled: true, path: /web, config: {agfs_path: /memfs, host: 127.0.0.1, port: "%[2]d"}}
    - {name: old, enabled: true, path: /web2, config: {pfs_path: /memfs/home, http_port: %[3]d}}
  hellofs: {enabled: true, path: /hellofs}
`, p.dir, p.ports[0], p.ports[1])
}

// TestDescribed shows that built-in plugins do what they are described to do,
// as a node's file asks for them and by request.
func TestDescribed(t *testing.T) {
	t.Parallel()
	p := &place{dir: t.TempDir(), ports: []int{freePort(t), freePort(t), freePort(t), freePort(t)}, used: map[string]string{}}
	for _, d := range []string{"home", "data", "more"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.far = harness.Start(t, harness.Options{})
	p.db, p.s3 = sqldbtest.Start(t), s3server.Start(t)
	authority := ""
	p.remote, authority = httpsFront(t, p.far.Nodes[0].URL)
	p.c = harness.Start(t, harness.Options{Config: func(int) string { return p.file() }, Env: []string{"SSL_CERT_FILE=" + authority}})
	p.noteFile(t)
	for _, one := range promises() {
		if one.test != nil {
			t.Run(one.plugin+": "+one.name, func(t *testing.T) { one.test(&described{t, newWeb(t, p.c.Nodes[0]), p}) })
		}
	}
	for plugin, names := range settings() {
		for _, name := range strings.Fields(names) {
			if !slices.Contains(strings.Fields(p.used[plugin]), name) {
				t.Errorf("no mount has used %s of %s", name, plugin)
			}
		}
	}
}

// noteFile notes which settings the file of the node uses.
func (p *place) noteFile(t *testing.T) {
	var c struct{ Plugins map[string]any }
	if err := yaml.Unmarshal([]byte(p.file()), &c); err != nil {
		t.Fatal(err)
	}
	for key, entry := range c.Plugins {
		plugin, _, _ := strings.Cut(key, "_")
		list, ok := entry.([]any)
		if !ok {
			list = []any{entry}
		}
		for _, e := range list {
			if m, ok := e.(map[string]any); ok && m["config"] != nil {
				p.note(plugin, m["config"].(map[string]any))
			}
		}
	}
}

func (p *place) note(plugin string, config map[string]any) {
	for name := range config {
		p.used[plugin] += " " + name
	}
}

// mounted mounts a plugin by request.
func (d *described) mounted(plugin, path, config string) {
	d.Helper()
	var c map[string]any
	if err := yaml.Unmarshal([]byte(config), &c); err != nil { // JSON is YAML
		d.Fatal(err)
	}
	d.mount(plugin, path, config)
	d.note(plugin, c)
}

// TestDescribedCounted fails when a plugin of the description has no row, or a
// row no test.
func TestDescribedCounted(t *testing.T) {
	plugins := []string{"serverinfofs", "memfs", "queuefs", "kvfs", "streamfs", "sqlfs", "proxyfs", "s3fs", "localfs", "httpfs", "hellofs"}
	there := testNames(t)
	rows, names := map[string]int{}, map[string]bool{}
	for _, p := range promises() {
		rows[p.plugin]++
		switch id := p.plugin + ": " + p.name; {
		case names[id]:
			t.Errorf("two rows are called %s", id)
		case (p.test == nil) == (p.elsewhere == ""):
			t.Errorf("%s has not one test", id)
		case p.elsewhere != "" && !there[p.elsewhere]:
			t.Errorf("%s: there is no test %s", id, p.elsewhere)
		default:
			names[id] = true
		}
	}
	for _, name := range plugins {
		if _, ok := settings()[name]; !ok || rows[name] == 0 {
			t.Errorf("%s has %d rows, and settings: %v", name, rows[name], ok)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("there is no plugin %s", name)
	}
	t.Logf("%d rows of %d plugins", len(names), len(plugins))
}

// testNames returns the tests of this package.
func testNames(t *testing.T) map[string]bool {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				out[fn.Name.Name] = true
			}
		}
	}
	return out
}
