//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pfs-project/pfs/cli/clitest"
)

// Pipes and devices are left out of a tree, but a pipe that is named is fed.
func TestSpecialFiles(t *testing.T) {
	clitest.Start(t)
	src := t.TempDir()
	t.Chdir(src)
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("f", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps(t, []step{
		{"cp -r local:. /memfs", "", 0, "", "pfs: pipe is neither a file, a directory nor a link; left out\n1 files, 7 bytes\n"},
		{"cp -r local:. /memfs -q", "", 0, "", ""},
		{"cp local:pipe /memfs", "", 2, "", "pfs: pipe is not a regular file; pipe it in with -\nhint: see: pfs cp --help\n"},
		{"ls /memfs", "", 0, "README\nf\n", ""},
	})
	read := make(chan string)
	go func() {
		f, err := os.Open(filepath.Join(src, "pipe"))
		if err != nil {
			t.Error(err)
		}
		defer f.Close()
		b, _ := io.ReadAll(f)
		read <- string(b)
	}()
	must(t, "", "get", "/memfs/f", "pipe")
	if got := <-read; got != "content" {
		t.Errorf("the pipe gave %q", got)
	}
}

// A copy that was killed between the content of a program and its mode is finished
// by the next one.
func TestResumeSetsWhatIsExecutable(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"src/program": "same", "src/text": "same"})
	if err := os.Chmod("src/program", 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "", "mkdir", "/memfs/dst")
	for _, name := range []string{"program", "text"} {
		must(t, "same", "put", "-", "/memfs/dst/"+name)
	}
	steps(t, []step{
		{"cp -r --resume local:src/. /memfs/dst", "", 0, "", "0 files, 0 bytes, 2 unchanged\n"},
		{"stat -c %a /memfs/dst/program /memfs/dst/text", "", 0, "755\n644\n", ""},
	})
}
