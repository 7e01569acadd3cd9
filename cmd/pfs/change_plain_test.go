package main

import (
	"os"
	"testing"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/cli/clitest"
	"github.com/pfs-project/pfs/plugins"
)

// Where nothing can be renamed, what has another kind goes first.
func TestSyncOfOtherKindsWithoutRename(t *testing.T) {
	s := apitest.Start(t, apitest.Config{Level: true, Plugins: plugins.Builtin(nil), Mounts: map[string]string{"/memfs": "memfs", "/streamfs": "streamfs"}})
	clitest.TalkTo(t, s.URL)
	local(t, map[string]string{"src/d/x": "x", "src/t": "t"})
	if err := os.Symlink("t", "src/s"); err != nil {
		t.Fatal(err)
	}
	must(t, "", "write", "/streamfs/s", "old")
	must(t, "", "write", "/streamfs/d", "stays")
	steps(t, []step{
		{"sync -q local:src /streamfs", "", 10, "", "pfs: mkdir…(unsupported)\npfs: 1 of 3 failed\n"},
		{"readlink /streamfs/s", "", 0, "t\n", ""},
		{"ls -a /streamfs", "", 0, "README\nd\ns\nt\n", ""},
	})
}
