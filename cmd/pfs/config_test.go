package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
)

func TestConfigValidate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := file("good.yaml", "server: {address: \":8080\"}\nplugins: {memfs: {path: /m}}\n")
	if got := must(t, "", "config", "validate", good, "../../configs/config.example.yaml"); !strings.HasPrefix(got, good+": ok\n") || strings.Count(got, ": ok\n") != 2 {
		t.Errorf("good files: %q", got)
	}
	for text, want := range map[string]string{
		"server: {adress: x}":         `did you mean "address"?`,
		"server: {log_level: loud}":   "debug, info, warn or error",
		"plugins: {menfs: {path: /}}": `did you mean "memfs"?`,
		"":                            "",
	} {
		bad := file("bad.yaml", text)
		if text == "" {
			bad = filepath.Join(dir, "none.yaml")
		}
		r := pfs(t, "", "config", "validate", bad, good)
		if r.Code != cli.ExitUsage || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "pfs: ") || r.Stdout != good+": ok\n" {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

func TestProbe(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" {
			http.Error(w, "no leader is known", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	t.Setenv("PFS_URL", s.URL)
	if got := must(t, "", "probe", "live"); got != "ok\n" {
		t.Errorf("live: %q", got)
	}
	steps(t, []step{
		{"probe", "", 5, "", "pfs: no leader is known (unavailable)\n"},
		{"probe ready -q", "", 5, "", "pfs: no leader is known (unavailable)\n"},
		{"probe well", "", 2, "", "…\nhint: see: pfs probe --help\n"},
	})
	s.Close()
	if r := pfs(t, "", "probe"); r.Code != cli.ExitTemporary {
		t.Errorf("nobody there: %+v", r)
	}
}
