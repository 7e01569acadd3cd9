package serverinfofs

import (
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/vfstest"
)

// Test holds the plugin to the laws of all filesystems and plays its scripts.
func Test(t *testing.T) {
	vfstest.Run(t, vfstest.Subject{Plugin: Plugin(nil), Config: vfs.Config{"version": "v1"}, Scripts: "testdata"})
}

// clock is a time under test control.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type counts struct{ in, out int64 }

func (c *counts) Totals() (in, out int64) { return c.in, c.out }

func read(t *testing.T, f *FS, p vfs.Path) string {
	t.Helper()
	info, err := f.Stat(t.Context(), nil, p)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	n, err := f.ReadAt(t.Context(), nil, p, b, 0)
	if err != io.EOF {
		t.Fatal(err)
	}
	if int64(n) != info.Size {
		t.Errorf("%s: %d bytes, stat says %d", p, n, info.Size)
	}
	if b[n-1] != '\n' {
		t.Errorf("%s does not end its last line", p)
	}
	return string(b[:n])
}

func TestFiles(t *testing.T) {
	c := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	f := newFS("v9", nil, c.now)
	c.advance(24*time.Hour + 30*time.Minute + 15*time.Second + time.Millisecond)
	var names []string
	infos, err := f.List(t.Context(), nil, "/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		names = append(names, i.Name+":"+i.Meta.Type)
		read(t, f, vfs.Root.Child(i.Name))
		if i.Mode != 0o444 {
			t.Errorf("%s has mode %o", i.Name, i.Mode)
		}
	}
	want := "README:doc server_info:info stats:info traffic:traffic uptime:info version:info"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files: %s", got)
	}
	if got := read(t, f, "/uptime"); got != "24h30m15s\n" {
		t.Errorf("uptime %q", got)
	}
	if got := read(t, f, "/version"); got != "v9\n" {
		t.Errorf("version %q", got)
	}
	var info map[string]any
	if err := json.Unmarshal([]byte(read(t, f, "/server_info")), &info); err != nil {
		t.Fatal(err)
	}
	if info["version"] != "v9" || info["startTime"] != "2026-01-02T03:04:05Z" || info["goVersion"] != runtime.Version() ||
		info["memory"].(map[string]any)["sys"].(float64) == 0 {
		t.Errorf("server_info: %v", info)
	}
}

func TestPages(t *testing.T) {
	f := newFS("v9", nil, time.Now)
	infos, err := f.List(t.Context(), nil, "/", "stats", 2)
	if err != nil || len(infos) != 2 || infos[0].Name != "traffic" || infos[1].Name != "uptime" {
		t.Errorf("%v, %v", infos, err)
	}
}

func TestTrafficIsSampledWhenRead(t *testing.T) {
	c := &clock{at: time.Unix(1_700_000_000, 0)}
	n := &counts{in: 50, out: 70}
	f := newFS("", n, c.now)
	traffic := func() (m map[string]int64) {
		if err := json.Unmarshal([]byte(read(t, f, "/traffic")), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	c.advance(2 * time.Second)
	n.in, n.out = 250, 1070
	m := traffic()
	if m["upstream_bps"] != 100 || m["downstream_bps"] != 500 || m["total_upload_bytes"] != 250 || m["total_download_bytes"] != 1070 || m["uptime_seconds"] != 2 {
		t.Errorf("%v", m)
	}
	c.advance(10 * time.Second)
	m = traffic()
	if m["upstream_bps"] != 0 || m["peak_upstream_bps"] != 100 || m["peak_downstream_bps"] != 500 {
		t.Errorf("%v", m)
	}
}

func TestReadOnly(t *testing.T) {
	fs, err := Plugin(nil).New(vfs.Env{Version: "dev"}, vfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := fs.(vfs.Device)
	if _, err := d.Do(t.Context(), vfs.Op{Verb: vfs.Truncate, Path: "/stats"}); vfs.KindOf(err) != vfs.Permission || !strings.Contains(err.Error(), "serverinfofs is read-only") {
		t.Errorf("truncate: %v", err)
	}
	if _, err := d.Stat(t.Context(), nil, "/info"); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("stat: %v", err)
	}
	if _, err := d.List(t.Context(), nil, "/stats", "", 0); vfs.KindOf(err) != vfs.NotDirectory {
		t.Errorf("list of a file: %v", err)
	}
	if _, err := d.List(t.Context(), nil, "/no", "", 0); vfs.KindOf(err) != vfs.NotFound {
		t.Errorf("list of nothing: %v", err)
	}
	if got := read(t, fs.(*FS), "/version"); got != "dev\n" {
		t.Errorf("version %q", got)
	}
}

func TestReadersAtOnce(t *testing.T) {
	c := &clock{at: time.Unix(1_700_000_000, 0)}
	f := newFS("v", nil, c.now)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c.advance(100 * time.Millisecond)
				if _, err := f.List(t.Context(), nil, "/", "", 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
