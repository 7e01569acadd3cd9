package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/certs"
	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

func TestInitCerts(t *testing.T) {
	clitest.TalkTo(t, "http://127.0.0.1:1") // no server is needed
	dir := filepath.Join(t.TempDir(), "certs")
	out := must(t, "", "cluster", "init-certs", "--dir", dir, "n1=10.0.0.1, host1", "n2")
	for _, want := range []string{"ca-key.pem away from the nodes", "node n1: ", "node n2: ", "tls_ca: ca.pem", "tls_cert: n1.pem", "tls_key: n1-key.pem"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	var made []map[string]string
	if err := json.Unmarshal([]byte(must(t, "", "cluster", "init-certs", "--dir", dir, "--ca", dir, "--days", "7", "-o", "json", "n3")), &made); err != nil {
		t.Fatal(err)
	}
	if len(made) != 1 || made[0]["node"] != "n3" || made[0]["tls_ca"] != filepath.Join(dir, "ca.pem") {
		t.Errorf("%v", made)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := certs.Read(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := certs.NewSet(ca, p); err != nil || s.Node != id {
			t.Errorf("%s: %+v, %v", id, s, err)
		}
	}
}

func TestInitCertsRefuses(t *testing.T) {
	clitest.TalkTo(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	must(t, "", "cluster", "init-certs", "--dir", dir, "n1")
	empty := t.TempDir()
	for name, c := range map[string]struct {
		code int
		want string
		args []string
	}{
		"no node":         {cli.ExitUsage, "arg", nil},
		"not overwritten": {cli.ExitUsage, "file exists", []string{"--ca", dir, "n1"}},
		"a second one":    {cli.ExitUsage, "file exists", []string{"n2"}},
		"a path":          {cli.ExitUsage, "cannot be the id", []string{"../n2"}},
		"the authority":   {cli.ExitUsage, "cannot be the id", []string{"ca"}},
		"twice":           {cli.ExitUsage, "named twice", []string{"n2", "n2=host"}},
		"days":            {cli.ExitUsage, "--days", []string{"--days", "0", "n2"}},
		"no authority":    {cli.ExitNoFile, "ca.pem", []string{"--ca", empty, "n2"}},
	} {
		r := pfs(t, "", append([]string{"cluster", "init-certs", "--dir", dir}, c.args...)...)
		if r.Code != c.code || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("%s: exit code %d\n%s", name, r.Code, r.Stderr)
		}
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "*")); len(list) != 4 {
		t.Errorf("left over: %v", list)
	}
}
