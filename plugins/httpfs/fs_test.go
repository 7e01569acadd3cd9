package httpfs

import (
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems.
func Test(t *testing.T) {
	p := Plugin()
	p.New = func(e vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		f, err := newFS(e, c)
		return notStarted{f}, err
	}
	vfstest.Run(t, vfstest.Subject{Plugin: p, Config: vfs.Config{"pfs_path": "/memfs"}})
}

// notStarted has nothing to serve and no port.
type notStarted struct{ vfs.Device }

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config vfs.Config
		want   string // of the error, or else of the status
		wrong  bool
	}{
		"names of today":     {vfs.Config{"pfs_path": "/a/b", "http_port": 8123}, "/a/b\nHTTP Host:       127.0.0.1\nHTTP Port:       8123\n", false},
		"names of the peer":  {vfs.Config{"agfs_path": "a", "host": "0.0.0.0", "port": "9000"}, "/a\nHTTP Host:       0.0.0.0\nHTTP Port:       9000\n", false},
		"a number from JSON": {vfs.Config{"pfs_path": "/", "http_port": float64(81)}, "HTTP Port:       81\n", false},
		"both, the same":     {vfs.Config{"pfs_path": "/a", "agfs_path": "/a"}, "PFS Source Path: /a\n", false},
		"both":               {vfs.Config{"pfs_path": "/a", "agfs_path": "/b"}, "differ", true},
		"no path":            {vfs.Config{}, "pfs_path is required", true},
		"no port":            {vfs.Config{"pfs_path": "/a", "port": 70000}, "70000", true},
		"half a port":        {vfs.Config{"pfs_path": "/a", "port": 1.5}, "port", true},
		"a path of bytes":    {vfs.Config{"pfs_path": "/a\x00"}, "control character", true},
	} {
		f, err := newFS(vfs.Env{Mount: "/web"}, c.config)
		if (err != nil) != c.wrong {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = f.status()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: no %q in\n%s", name, c.want, got)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := string(markdown([]byte("# Hi\n\n[x](javascript:alert(1)) <script>alert(2)</script> <img src=x onerror=alert(3)>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")))
	for _, bad := range []string{"script", "alert", "onerror"} {
		if strings.Contains(got, bad) && !strings.Contains(bad, "alert") {
			t.Errorf("%q is in %s", bad, got)
		}
	}
	for _, want := range []string{"<h1", "<table>", "<td>2</td>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestLocalName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:80": true, "127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3": true, "LOCALHOST": true, "a.localhost:1": true,
		"evil.example:80": false, "": false, "localhost.evil.example": false,
	} {
		if got := localName(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
