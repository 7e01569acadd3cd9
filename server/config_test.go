package server

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/configs"
	"github.com/pfs-project/pfs/plugins"
	"github.com/pfs-project/pfs/vfs"
)

func none(string) string { return "" }

func writeConfig(t *testing.T, yaml string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestShippedFilesLoad(t *testing.T) {
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	three, err := filepath.Glob("../configs/three-node/*.yaml")
	if err != nil || len(files) < 2 || len(three) != 3 {
		t.Fatalf("found %v and %v (%v)", files, three, err)
	}
	for _, f := range append(files, three...) {
		o, err := readOptions([]string{"-c", f}, none, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		mounts, err := fileMounts(o.config, true, plugins.Builtin(nil))
		if err != nil || len(mounts) < 6 {
			t.Errorf("%s: %d mounts, %v", f, len(mounts), err)
		}
	}
}

// Every key that can be set is shown, with a comment, in the sample.
func TestSampleHasEveryKey(t *testing.T) {
	for _, key := range knownKeys() {
		if key == "wasi_mount_path" || key == "wasm" { // of hosts that do not exist yet
			continue
		}
		if !strings.Contains(configs.Sample, key) {
			t.Errorf("config.example.yaml does not show %s", key)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"server: {adress: x}", `did you mean "address"?`},
		{"sever: {address: x}", `did you mean "server"?`},
		{"cluster: {zzzzzz: 1}", `unknown key "zzzzzz"`},
		{"server: {address: x, address: y}", "already defined"},
		{"server:\n\taddress: x", ""},
		{"plugins: {memfs: [{path: /a}, {path: /a}]}", "two mounts at /a"},
		{"plugins: {memfs: {path: /a}, memfs_b: {path: /a}}", "two mounts at /a"},
		{"plugins: {menfs: {path: /a}}", `did you mean "memfs"?`},
		{"plugins: {memfs: {pth: /a}}", `did you mean "path"?`},
		{"plugins: {memfs: {path: /a, config: {x: 1}}}", "unknown configuration parameter(s) 'x'"},
		{"plugins: {streamfs: {path: /a, config: {bufer_size: 1}}}", "unknown key bufer_size: did you mean buffer_size?"},
		{"plugins: {proxyfs: {path: /a, config: {base_url: \"http://u:hunter2@h\"}}}", "base_url must not hold a user or a password"},
		{"plugins:\n  s3fs:\n    config:\n      secret_access_key: hunter2\n    pth: x", `did you mean "path"?`},
		{"plugins:\n  s3fs:\n    config:\n      secret_access_key: [hunter2\n", "sequence end token"},
		{"plugins:\n  s3fs:\n    config:\n      secret_access_key: hunter2\n      secret_access_key: hunter2\n", "already defined"},
		{"plugins: {memfs: {path: \"\"}}", "path"},
		{"cluster: {bootstrap_expect: 0}", "1 to 9"},
		{"cluster: {bootstrap_expect: 3}", "needs cluster.join"},
		{"cluster: {bootstrap_expect: 2, join: \"a:1, b:1, c:1, d:1, a:1\"}", "two clusters could form"},
		{"cluster: {log_store: tape}", "bolt or pebble"},
		{"cluster: {chunk_grace: soon}", "duration"},
		{"cluster: {disk_reserve: much}", "cluster.disk_reserve"},
		{"server: {cache_size: much}", "server.cache_size"},
		{"server: {cache_size: 5KB}", "1MB or more"},
		{"cluster: {snapshot_rate: 1KB}", "cluster.snapshot_rate"},
		{"cluster: {max_snapshot: 0}", "cluster.max_snapshot"},
		{"server: {log_level: loud}", "debug, info, warn or error"},
		{"server: {address: \"\"}", "must not be empty"},
		{"server: {admin_address: here}", "HOST:PORT"},
		{"server: {log_format: xml}", "text or json"},
		{"server: {slow_request: soon}", "duration"},
		{"server: {slow_request: -1s}", "duration"},
		{"external_plugins: {crashes: -1}", "crashes"}, {"external_plugins: {crash_window: soon}", "crash_window"},
		{"external_plugins: {retry_after: 1ms}", "retry_after"},
	} {
		o, err := readOptions([]string{"-c", writeConfig(t, c.yaml)}, none, io.Discard)
		if err == nil {
			_, err = fileMounts(o.config, true, plugins.Builtin(nil))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v; want %q", c.yaml, err, c.want)
		}
	}
	for _, file := range []string{"/no/such/file", t.TempDir()} {
		if _, err := readOptions([]string{"-c", file}, none, io.Discard); err == nil {
			t.Errorf("%s was read", file)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := writeConfig(t, "server: {address: \"file:1\", data_dir: fromfile}\ncluster: {join: \"a:1, b:2\"}")
	env := func(name string) string {
		return map[string]string{"PFS_ADDR": "env:1", "PFS_DATA_DIR": "fromenv", "PFS_NON_VOTER": "true"}[name]
	}
	o, err := readOptions([]string{"--config", file, "-addr", "flag:1"}, env, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c := o.config
	if c.Server.Address != "flag:1" || c.Server.DataDir != "fromenv" || !c.Cluster.NonVoter || len(c.Cluster.Join) != 2 {
		t.Errorf("%+v", c)
	}
	if c.Server.LogLevel != "info" {
		t.Errorf("the default log level is %q", c.Server.LogLevel)
	}
}

func TestMountForms(t *testing.T) {
	o, err := parse([]byte(`
plugins:
  memfs: {path: mem/, config: {init_dirs: [/a]}}
  memfs_scratch: {enabled: true, path: /scratch}
  kvfs: [{name: one, enabled: true, path: /kv1}, {enabled: false, path: /kv2}]
`))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := fileMounts(o, true, plugins.Builtin(nil))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mounts {
		got = append(got, string(m.Path)+"="+m.Type+"/"+m.Name)
	}
	if s := strings.Join(got, " "); s != "/dev=devfs/ /kv1=kvfs/one /mem=memfs/memfs /scratch=memfs/memfs_scratch" {
		t.Error(s)
	}
	if d, err := vfs.Config(mounts[2].Config).Strings("init_dirs"); err != nil || len(d) != 1 {
		t.Errorf("init_dirs: %v, %v", d, err)
	}
}

func TestDefaultMounts(t *testing.T) {
	mounts, err := fileMounts(defaults(), false, plugins.Builtin(nil))
	if err != nil || len(mounts) != 8 {
		t.Errorf("%d default mounts, %v", len(mounts), err)
	}
}

func TestFlagMistakesAreOneLine(t *testing.T) {
	for _, args := range [][]string{{"-adr", "x"}, {"-bootstrap-expect", "many"}, {"stray"}, {"-non-voter=perhaps"}} {
		var out strings.Builder
		_, err := readOptions(args, none, &out)
		if err == nil || out.Len() > 0 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, printed %q", args, err, out.String())
		}
	}
	var out strings.Builder
	if _, err := readOptions([]string{"-help"}, none, &out); !isHelp(err) || !strings.Contains(out.String(), "-raft-addr HOST:PORT") {
		t.Errorf("-help: %v, printed %q", err, out.String())
	}
}
