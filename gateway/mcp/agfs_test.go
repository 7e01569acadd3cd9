package mcp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/gateway/mcp"
)

// TestAGFSTools drives all tools of agfs-mcp by its names and parameters.
func TestAGFSTools(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	a.connect(mcp.Config{AGFS: true, Local: true}, nil)
	list, err := a.c.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 16 {
		t.Fatalf("%v: %d tools", err, len(list.Tools))
	}
	dir := t.TempDir()
	disk := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	if err := os.MkdirAll(disk("up/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"up/a": "A", "up/sub/b": "B"} {
		if err := os.WriteFile(disk(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.file("/memfs/bin", "\x00\x01")
	used := map[string]bool{}
	for _, x := range []struct {
		tool string
		in   args
		want string
	}{
		{"agfs_mkdir", args{"path": "/memfs/d", "mode": "700"}, "/memfs/d"},
		{"agfs_write", args{"path": "/memfs/d/f", "content": "hello\nworld"}, ""},
		{"agfs_cat", args{"path": "/memfs/d/f"}, "hello\nworld"},
		{"agfs_cat", args{"path": "/memfs/d/f", "offset": 6, "size": 3}, "wor"},
		{"agfs_cat", args{"path": "/memfs/d/f", "offset": 6, "size": -1}, "world"},
		{"agfs_cat", args{"path": "/memfs/bin"}, "base64"},
		{"agfs_ls", args{}, `"memfs"`},
		{"agfs_ls", args{"path": "/memfs/d"}, `"f"`},
		{"agfs_stat", args{"path": "/memfs/d/f"}, `"size":11`},
		{"agfs_grep", args{"path": "/memfs", "pattern": "WOR", "recursive": true, "case_insensitive": true}, `"line":2`},
		{"agfs_mv", args{"old_path": "/memfs/d/f", "new_path": "/memfs/d/g"}, "/memfs/d/g"},
		{"agfs_cp", args{"src": "/memfs/d", "dst": "/memfs/e", "recursive": true}, "1 files"},
		{"agfs_cat", args{"path": "/memfs/e/g"}, "world"},
		{"agfs_rm", args{"path": "/memfs/d", "recursive": true}, "/memfs/d"},
		{"agfs_mounts", args{}, "queuefs"},
		{"agfs_mount", args{"fstype": "memfs", "path": "/more", "config": args{}}, "/more"},
		{"agfs_unmount", args{"path": "/more"}, "/more"},
		{"agfs_health", args{}, "healthy"},
		{"agfs_upload", args{"local_path": disk("up"), "remote_path": "/memfs/up", "recursive": true}, "2 files"},
		{"agfs_cat", args{"path": "/memfs/up/sub/b"}, "B"},
		{"agfs_download", args{"remote_path": "/memfs/up", "local_path": disk("down"), "recursive": true}, "2 files"},
		{"agfs_notify", args{"to": "bob", "from": "ann", "data": "hi"}, "Sent"},
		{"agfs_cat", args{"path": "/queuefs/bob/size"}, "1"},
		{"agfs_cat", args{"path": "/queuefs/bob/dequeue"}, `\"message\":\"hi\"`},
		{"agfs_cat", args{"path": "/queuefs/bob/size"}, "0"},
		{"agfs_cat", args{"path": "/queuefs/ann/size"}, "0"},
	} {
		used[x.tool] = true
		r, err := a.call(x.tool, x.in)
		if err != nil || r.IsError || !strings.Contains(text(r), x.want) {
			t.Errorf("%s %v: %v %q, want %q", x.tool, x.in, err, text(r), x.want)
		}
	}
	for _, tool := range list.Tools {
		if !used[tool.Name] {
			t.Errorf("%s was not called", tool.Name)
		}
	}
	if b, err := os.ReadFile(disk("down/sub/b")); err != nil || string(b) != "B" {
		t.Errorf("downloaded: %q %v", b, err)
	}
	a.refused("agfs_ls", args{"path": "/none"}, "(not_found)")
	a.refused("agfs_mkdir", args{"path": "/memfs/x", "mode": "999"}, "octal")
	a.refused("agfs_cp", args{"src": "/memfs/up", "dst": "/memfs/up/x", "recursive": true}, "into itself")
	a.refused("agfs_cp", args{"src": "/memfs/up", "dst": "/memfs/z"}, "Set recursive")
	a.refused("agfs_cat", args{"path": "/dev/zero"}, "without an end")
	a.refused("agfs_notify", args{"to": "../memfs", "from": "ann", "data": "hi"}, "names without a slash")
	a.refused("read", args{"path": "/memfs/up/a"}, "no tool")
	a.connect(mcp.Config{AGFS: true}, nil)
	a.refused("agfs_upload", args{"local_path": disk("up"), "remote_path": "/memfs/up2", "recursive": true}, "no local files")
	a.refused("agfs_download", args{"remote_path": "/memfs/up", "local_path": disk("down2"), "recursive": true}, "no local files")
}

// TestAGFSScope has the other tools try the ways out, too.
func TestAGFSScope(t *testing.T) {
	a := newAgent(t, mcp.Config{})
	plant(a)
	a.connect(mcp.Config{AGFS: true, Local: true, Root: "/memfs/a7"}, nil)
	out := filepath.Join(t.TempDir(), "out")
	for _, path := range []string{"/memfs/a8/secret", "rel/secret", "in/deep", "../a8/secret"} {
		for tool, in := range map[string]args{
			"agfs_ls": {"path": path}, "agfs_cat": {"path": path}, "agfs_write": {"path": path, "content": "x"},
			"agfs_grep": {"path": path, "pattern": "s"}, "agfs_cp": {"src": path, "dst": "copy"},
			"agfs_download": {"remote_path": path, "local_path": out},
		} {
			a.refused(tool, in, "(permission)")
		}
		a.refused("agfs_cp", args{"src": "own", "dst": path}, "(permission)")
	}
	a.refused("agfs_cp", args{"src": "/memfs/a7", "dst": "/memfs/a70/x", "recursive": true}, "(permission)")
	a.must("agfs_cp", args{"src": "in", "dst": "copied", "recursive": true}, nil)
	if got := a.content("/memfs/a7/copied/f"); got != "inside" {
		t.Errorf("copied: %q", got)
	}
	if _, err := a.tree.Stat(t.Context(), "/memfs/a7/copied/deep"); err == nil {
		t.Error("a link was copied")
	}
}
