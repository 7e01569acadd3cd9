package proxyfs_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// A server with https is trusted by the certificate that is named, and by no
// other; a file that is replaced is read by a reload.
func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"/","isDir":true}`) }))
	defer s.Close()
	dir := t.TempDir()
	ca, bad := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bad.pem")
	good := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	write := func(name string, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, good)
	write(bad, []byte("no certificate"))
	for _, c := range []struct {
		config vfs.Config
		words  string // "": it starts
	}{
		{vfs.Config{"tls_ca_file": ca}, ""},
		{vfs.Config{"tls_ca_file": ca, "tls_server_name": "example.com"}, ""},
		{vfs.Config{"tls_skip_verify": true}, ""},
		{vfs.Config{}, "certificate"},
		{vfs.Config{"tls_ca_file": ca, "tls_server_name": "other.test"}, "certificate"},
		{vfs.Config{"tls_ca_file": bad}, "has no certificate in PEM form"},
		{vfs.Config{"tls_ca_file": dir + "/none"}, "tls_ca_file on this node"},
		{vfs.Config{"tls_ca_file": ca, "tls_skip_verify": true}, "contradict each other"},
	} {
		c.config["base_url"] = s.URL
		_, err := start(t, vfs.Env{}, c.config)
		if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v: %v", c.config, err)
		}
	}

	fs, err := start(t, vfs.Env{}, vfs.Config{"base_url": s.URL, "tls_ca_file": ca})
	if err != nil {
		t.Fatal(err)
	}
	reload := vfs.Op{Verb: vfs.Write, Path: "/reload", Data: []byte("x")}
	write(ca, []byte("damaged"))
	if _, err := fs.Do(t.Context(), reload); err == nil || !strings.Contains(err.Error(), "stays as it was") {
		t.Error(err)
	}
	write(ca, good)
	if _, err := fs.Do(t.Context(), reload); err != nil {
		t.Error(err)
	}
}
