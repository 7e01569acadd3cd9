package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pfs-project/pfs/sqldb/sqldbtest"
	"github.com/pfs-project/pfs/test/harness"
	"github.com/pfs-project/pfs/test/s3server"
)

// peerSettingsOutside has settings of plugins that reach outside do something:
// the port of a database, its TLS, disable_ssl, sizes in JSON, an empty time.
func peerSettingsOutside(p *peer) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.Fatal(err)
	}
	defer l.Close()
	var calls atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	for i, form := range []string{fmt.Sprint(port), fmt.Sprintf("%q", fmt.Sprint(port))} {
		for _, plugin := range []string{"sqlfs", "sqlfs2"} {
			before := calls.Load()
			a, err := p.do("POST", "/mount", strings.NewReader(fmt.Sprintf(
				`{"fstype":%q,"path":%q,"config":{"backend":"mysql","host":"127.0.0.1","port":%s}}`, plugin, p.dir+"-p", form)))
			if err != nil || a.status != 503 || !harness.Poll(10*time.Second, func() bool { return calls.Load() > before }) {
				p.Errorf("port %d of %s: %v %d %s, %d calls", i, plugin, err, a.status, a.body, calls.Load()-before)
			}
		}
	}
	db := sqldbtest.Start(p)
	for plugin, tls := range map[string]string{"sqlfs": "true", "sqlfs2": `"true"`} {
		a, err := p.do("POST", "/mount", strings.NewReader(fmt.Sprintf(
			`{"fstype":%q,"path":%q,"config":{"backend":"mysql","host":%q,"enable_tls":%s}}`, plugin, p.dir+"-t", db.Socket(), tls)))
		if err != nil || a.status < 400 {
			p.Errorf("%s talks without TLS: %v %d %s", plugin, err, a.status, a.body)
		}
	}
	s3 := s3server.Start(p)
	bare := strings.TrimPrefix(s3.URL, "http://")
	for i, off := range []string{`true`, `"true"`, `false`} {
		body := fmt.Sprintf(`{"fstype":"s3fs","path":%q,"config":{"bucket":"bucket","endpoint":%q,"access_key_id":%q,"secret_access_key":%q,"disable_ssl":%s}}`,
			fmt.Sprint(p.dir, "-s", i), bare, s3server.KeyID, s3server.Secret, off)
		var a answer
		if off == "false" { // with TLS nobody is there: that asks for patience in vain
			a, err = p.do("POST", "/mount", strings.NewReader(body))
		} else {
			a, err = p.patient("POST", "/mount", body)
		}
		if err != nil || (a.status == 200) != (off != "false") {
			p.Errorf("disable_ssl %s: %v %d %s", off, err, a.status, a.body)
		}
	}
	out := p.dir + "/out"
	p.mkdir(out)
	p.mount("streamrotatefs", p.dir+"-r", fmt.Sprintf(`{"output_path":%q,"rotation_size":2097153,"rotation_interval":"","filename_pattern":"{channel}-{index}"}`, out))
	for range 3 {
		p.put(p.dir+"-r/tv", strings.Repeat("x", 1<<20))
	}
	var got []string
	if !harness.Poll(30*time.Second, func() bool { got = p.names(out); return len(got) == 2 }) {
		p.Errorf("3 MiB in files of 2 MiB: %q", got)
	}
}

// peerUnknown mounts every plugin with each of its settings misspelt.
func peerUnknown(p *peer) {
	var out struct {
		Plugins []struct {
			Name   string
			Params []struct{ Name string } `json:"config_params"`
		}
	}
	p.json("GET", "/plugins", "", &out)
	tried := 0
	for _, plugin := range out.Plugins {
		for _, param := range plugin.Params {
			if len(param.Name) < 3 || param.Name == "agfs_path" { // misspelt it is as near to pfs_path
				continue
			}
			typo := param.Name[:1] + param.Name[2:] // as bufer_size
			if slices.ContainsFunc(plugin.Params, func(o struct{ Name string }) bool { return o.Name == typo }) {
				continue
			}
			config := map[string]any{typo: "x"}
			for _, required := range plugin.Params {
				if required.Name != param.Name {
					config[required.Name] = "x"
				}
			}
			pairs := []any{}
			for k, v := range config {
				pairs = append(pairs, k, v)
			}
			body := fmt.Sprintf(`{"fstype":%q,"path":%q,"config":%s}`, plugin.Name, p.dir+"-u", (&described{T: p.T}).config(pairs...))
			a := p.want(400, "POST", "/mount", body)
			missing := strings.Contains(a.body, param.Name+" is required")
			if !missing && !strings.Contains(a.body, fmt.Sprintf("unknown key %s: did you mean %s?", typo, param.Name)) {
				p.Errorf("%s: %s: %s", plugin.Name, typo, a.body)
			}
			tried++
		}
	}
	if tried < 60 {
		p.Errorf("%d settings of %d plugins", tried, len(out.Plugins))
	}
	bad := filepath.Join(harness.Build(p), "pfs-server")
	for yaml, words := range map[string]string{
		"server: {log_levl: debug}":                                   `unknown key "log_levl": did you mean "log_level"?`,
		"plugins: {streamfs: {path: /s, config: {bufer_size: 1MB}}}":  "unknown key bufer_size: did you mean buffer_size?",
		"plugins: {localfs_home: {path: /l, config: {local-dir: /}}}": "local_dir",
	} {
		file := filepath.Join(p.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			p.Fatal(err)
		}
		if said, err := harness.Output(bad, "-c", file, "-data-dir", p.TempDir(), "-addr", "127.0.0.1:0", "-raft-addr", "127.0.0.1:0"); err == nil || !strings.Contains(said, words) {
			p.Errorf("%s: %s", yaml, said)
		}
	}
}
