package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cli/clitest"
)

// local makes files in a new working directory.
func local(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCopyOfSeveral(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"a.txt": "a", "b.txt": "bb", "dir/c": "ccc", "x": "local"})
	steps(t, []step{
		{"mkdir /memfs/d", "", 0, "", ""},
		{"cp local:a.txt local:b.txt /memfs/d", "", 0, "", "2 files, 3 bytes\n"},
		{"cp -R local:*.txt local:dir pfs:/memfs/d/", "", 0, "", "3 files, 6 bytes\n"},
		{"ls /memfs/d", "", 0, "a.txt\nb.txt\ndir/\n", ""},
		{"cp /memfs/d/*.txt local:.", "", 0, "", "2 files, 3 bytes\n"},
		{"cp /memfs/*/[ab].txt -", "", 0, "abb", "2 files, 3 bytes\n"},
		{"cp /memfs/d/*.md local:.", "", 4, "", "pfs: /memfs/d/*.md: nothing fits\nhint: …\n"},
		{"cp /memfs/d/a.txt /memfs/d/b.txt /memfs/none", "", 4, "", "pfs: …/memfs/none…\npfs: …/memfs/none…\n0 files, 0 bytes\npfs: 2 of 2 failed\n"},
		{"cp /memfs/d/a.txt /memfs/none /memfs/d/dir", "", 10, "", "pfs: …/memfs/none…\n1 files, 1 bytes\npfs: 1 of 2 failed\n"},
		{"cp a.txt pfs:/memfs/d/a.txt/", "", 2, "", "pfs: /memfs/d/a.txt is not a directory\nhint: …\n"},
		{"write /memfs/d/a.txt other", "", 0, "", ""},
		{"cp -n local:a.txt /memfs/d", "", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"cp -u local:a.txt /memfs/d", "", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"cp -nf -v local:a.txt /memfs/d", "", 0, "copy /memfs/d/a.txt\n", "1 files, 1 bytes\n"},
		{"cp --resume local:a.txt /memfs/d", "", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"cp --resume --check local:x /memfs/d/a.txt", "", 0, "", "1 files, 5 bytes\n"},
		{"cp --dry-run -r local:. /memfs/new", "", 0, "copy …\ncopy …\ncopy …\ncopy …\n", "4 files, 0 bytes; nothing was done\n"},
		{"cp --dry-run - /memfs/new", "text", 0, "copy /memfs/new\n", "1 files, 0 bytes; nothing was done\n"},
		{"ls /memfs/new", "", 4, "", "pfs: …\n"},
		{"cp -r --exclude *.txt local:. /memfs/new", "", 0, "", "2 files, 8 bytes\n"},
		{"cp -r --include a.txt --exclude *.txt local:. /memfs/new", "", 0, "", "3 files, 9 bytes\n"},
		{"cp -q --progress json local:x /memfs/d", "", 0, "", ""},
		{"cp --progress json local:x /memfs/d", "", 0, "", "{\"files\":…,\"bytes\":5,…\"failed\":0}\n1 files, 5 bytes\n"},
		{"cp --stats 1s local:x /memfs/d", "", 0, "", "… of 1 files, 5 of 5…\n1 files, 5 bytes\n"},
		{"cp --progress often local:x /memfs/d", "", 2, "", "pfs: --progress often is none of auto, json and none\nhint: …\n"},
		{"cp --stats 1ns local:x /memfs/d", "", 2, "", "pfs: --stats 1ns is too often; 1s is well\nhint: …\n"},
		{"upload -r dir a.txt /memfs/new", "", 0, "", "2 files, 4 bytes\n"},
		{"download -r /memfs/new back", "", 0, "", "3 files, 9 bytes\n"},
	})
	if got := strings.Join(tree(t, "back"), " "); got != `a.txt 0 1 "a" dir/ dir/c 0 3 "ccc" x 0 5 "local"` {
		t.Errorf("back holds %s", got)
	}
}

// Times are those of the server with -p, and of use with -u.
func TestCopyKeepsTimes(t *testing.T) {
	clitest.Start(t)
	local(t, nil)
	must(t, "one", "write", "/memfs/f")
	must(t, "", "chmod", "640", "/memfs/f")
	must(t, "", "cp", "-q", "-a", "/memfs/f", "local:f")
	first, err := os.Stat("f")
	if err != nil || first.Mode().Perm() != 0o640 || !strings.Contains(must(t, "", "-o", "json", "stat", "/memfs/f"), first.ModTime().UTC().Format("15:04:05.999999999")) {
		t.Errorf("%v, %v", first, err)
	}
	steps(t, []step{
		{"cp -u pfs:/memfs/f f", "", 0, "", "0 files, 0 bytes, 1 unchanged\n"},
		{"write /memfs/f two", "", 0, "", ""},
		{"cp -u pfs:/memfs/f f", "", 0, "", "1 files, 3 bytes\n"},
	})
}

func TestSyncSteps(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"src/a": "a", "src/sub/b": "b", "src/.git/x": "x", "src/sub/old.o": "o", "other/z": "z"})
	steps(t, []step{
		{"sync -n local:src /memfs/dst", "", 0, "mkdir /memfs/dst\n…\n…\n…\n…\n…\n…\n", "4 files, 0 bytes, 0 unchanged; nothing was done\n"},
		{"sync local:src /memfs/dst", "", 0, "", "4 files, 4 bytes, 0 unchanged\n"},
		{"-o json sync local:src /memfs/dst", "", 0, "{\n  \"bytes\": 0,\n  \"deleted\": 0,\n  \"dry_run\": false,\n  \"failed\": 0,\n  \"files\": 0,\n  \"unchanged\": 4\n}\n", ""},
		{"sync -v --delete --exclude .git/ local:other /memfs/dst", "", 0, "copy /memfs/dst/z\ndelete /memfs/dst/…\ndelete /memfs/dst/…\ndelete /memfs/dst/…\ndelete /memfs/dst/…\n", "1 files, 1 bytes, 0 unchanged, 4 deleted\n"},
		{"ls -a /memfs/dst", "", 0, ".git/\nz\n", ""},
		{"-o json sync -n --delete local:other /memfs/dst", "", 0, "{\"do\":\"delete\",\"path\":\"/memfs/dst/.git\"}\n{\"bytes\":0,\"deleted\":1,\"dry_run\":true,\"failed\":0,\"files\":0,\"unchanged\":1}\n", ""},
		{"sync --delete local:none /memfs/dst", "", 4, "", "pfs: sync none: file does not exist\n"},
		{"sync local:src/a /memfs/dst", "", 2, "", "pfs: src/a is no directory; copy it with pfs cp\nhint: …\n"},
		{"sync local:src /memfs/dst/z", "", 2, "", "pfs: /memfs/dst/z is no directory; copy it with pfs cp\nhint: …\n"},
		{"sync local:src local:other", "", 2, "", "pfs: both sides are local; that is what cp is for\nhint: …\n"},
		{"sync /memfs/dst /memfs", "", 2, "", "pfs: /memfs/dst and /memfs are the same, or one is within the other\nhint: …\n"},
		{"sync - /memfs/dst", "", 2, "", "pfs: - is no directory\nhint: …\n"},
		{"sync --exclude [ local:src /memfs/dst", "", 2, "", "pfs: invalid argument \"[\"…\nhint: …\n"},
		{"mkdir /memfs/dst/a", "", 0, "", ""},
		{"sync local:src /memfs/dst", "", 10, "", "pfs: replace /memfs/dst/a: …--delete replaces it\n2 files, 2 bytes, 1 unchanged\npfs: 1 of 4 failed\n"},
		{"sync --delete local:src /memfs/dst", "", 0, "", "1 files, 1 bytes, 3 unchanged, 1 deleted\n"},
		{"sync --delete pfs:/memfs/dst other", "", 0, "", "4 files, 4 bytes, 0 unchanged, 1 deleted\n"},
		{"sync --checksum pfs:/memfs/dst other", "", 0, "", "0 files, 0 bytes, 4 unchanged\n"},
		{"sync /memfs/dst /memfs/again", "", 0, "", "4 files, 4 bytes, 0 unchanged\n"},
	})
}

func TestRemoving(t *testing.T) {
	clitest.Start(t)
	must(t, "", "mkdir", "-p", "/memfs/d/e/f", "/memfs/a/b/c")
	for _, name := range []string{"one.tmp", "two.tmp", ".tmp", "keep", "st*r"} {
		must(t, "", "write", "/memfs/d/"+name, "x")
	}
	steps(t, []step{
		{"rm /", "", 7, "", "pfs: remove /: the root of the tree stays\nhint: …\n"},
		{"rm -rf /memfs/../", "", 7, "", "pfs: remove /: the root of the tree stays\nhint: …\n"},
		{"rm -r /memfs", "", 7, "", "pfs: …/memfs…permission…\nhint: it is a mount; detach it with: pfs unmount /memfs\n"},
		{"rm -n /memfs/d/*.tmp", "", 0, "delete /memfs/d/one.tmp\ndelete /memfs/d/two.tmp\n", ""},
		{"rm -i /memfs/d/*.tmp", "n\ny\n", 0, "", "remove /memfs/d/one.tmp? [y/N]\nremove /memfs/d/two.tmp? [y/N]\n"},
		{"rm -v /memfs/d/*.tmp", "", 0, "delete /memfs/d/one.tmp\n", ""},
		{"rm /memfs/d/*.tmp", "", 4, "", "pfs: /memfs/d/*.tmp: nothing fits\nhint: …\n"},
		{"rm -f /memfs/d/*.tmp", "", 0, "", ""},
		{"rm /memfs/d/st*r", "", 0, "", ""},
		{"rm --if-match 1 /memfs/d/keep", "", 6, "", "pfs: …(stale)\nhint: the current version is …\n"},
		{"rm --if-match 1 /memfs/d/keep /memfs/a", "", 2, "", "pfs: --if-match and --idempotency-key are of one file, not of 2\nhint: …\n"},
		{"rmdir /memfs/d", "", 6, "", "pfs: directory not empty: /memfs/d (not_empty)\nhint: …\n"},
		{"rmdir /memfs/d/keep", "", 2, "", "pfs: /memfs/d/keep is not a directory\nhint: …\n"},
		{"rmdir -v -p /memfs/d/e/f", "", 6, "delete /memfs/d/e/f\ndelete /memfs/d/e\n", "pfs: directory not empty: /memfs/d (not_empty)\nhint: …\n"},
		{"rmdir -p /memfs/a/b/c", "", 0, "", ""},
		{"rmdir /memfs", "", 7, "", "pfs: …\nhint: it is a mount…\n"},
		{"rm -R /memfs/d", "", 0, "", ""},
		{"ls /memfs", "", 0, "README\n", ""},
	})
}

func TestLinksAndAttributes(t *testing.T) {
	clitest.Start(t)
	steps(t, []step{
		{"write /memfs/f Hello, World!", "", 0, "", ""},
		{"cat /memfs/f", "", 0, "Hello, World!", ""},
		{"ln /memfs/f /memfs/l", "", 2, "", "pfs: ln: a file has one name; hard links cannot be made\nhint: make a symbolic link with: pfs ln -s\n"},
		{"ln -s f /memfs/l", "", 0, "", ""},
		{"cat /memfs/l", "", 0, "Hello, World!", ""},
		{"ln -s g /memfs/l", "", 6, "", "pfs: …(exists)\n"},
		{"ln -sfv g /memfs/l", "", 0, "link /memfs/l -> g\n", ""},
		{"mkdir /memfs/d", "", 0, "", ""},
		{"ln -s /memfs/f /memfs/x/g /memfs/d", "", 0, "", ""},
		{"ls /memfs/d", "", 0, "f\ng\n", ""},
		{"ln -s d /memfs/to", "", 0, "", ""},
		{"ln -sfnv nowhere /memfs/to", "", 0, "link /memfs/to -> nowhere\n", ""},
		{"touch -c /memfs/none", "", 0, "", ""},
		{"touch -c /memfs/f /memfs/none", "", 0, "", ""},
		{"touch /memfs/new", "", 0, "", ""},
		{"touch -d yesterday /memfs/new", "", 2, "", "pfs: a time cannot be chosen: the server gives each change its own\nhint: …\n"},
		{"truncate -s 5 /memfs/f", "", 0, "", ""},
		{"truncate -s -1 /memfs/f", "", 0, "", ""},
		{"cat /memfs/f", "", 0, "Hell", ""},
		{"truncate -s +1K /memfs/f /memfs/new", "", 0, "", ""},
		{"ls -lS /memfs/f", "", 0, "…  1028  …/memfs/f\n", ""},
		{"truncate -c -s 1 /memfs/none", "", 0, "", ""},
		{"truncate -s 2KB /memfs/made", "", 0, "", ""},
		{"ls -l /memfs/made", "", 0, "…  2000  …/memfs/made\n", ""},
		{"truncate -s much /memfs/made", "", 2, "", "pfs: --size \"much\" is none, such as 0, 4K, +10 or -10\nhint: …\n"},
		{"truncate /memfs/made", "", 2, "", "pfs: --size \"\" is none, …\nhint: …\n"},
		{"chmod 600 /memfs/f", "", 0, "", ""},
		{"chmod -v u+x,go=r /memfs/f", "", 0, "0744 /memfs/f\n", ""},
		{"chmod -v a-x,g+w /memfs/[f]", "", 0, "0664 /memfs/f\n", ""},
		{"chmod -v -- -w /memfs/f", "", 0, "0444 /memfs/f\n", ""},
		{"chmod 1777 /memfs/f", "", 2, "", "pfs: mode 1777: only permission bits are kept, up to 777\nhint: …\n"},
		{"chmod u+q /memfs/f", "", 2, "", "pfs: \"u+q\" is no mode, such as 644, u+x or go-w\nhint: …\n"},
		{"rm /memfs/d/f /memfs/d/g", "", 0, "", ""},
		{"write /memfs/d/file x", "", 0, "", ""},
		{"mkdir /memfs/d/sub", "", 0, "", ""},
		{"chmod -R -v go-rwx,u+X /memfs/d", "", 0, "0700 /memfs/d\n0600 /memfs/d/file\n0700 /memfs/d/sub\n", ""},
		{"chmod 644 /memfs/none", "", 4, "", "pfs: …\n"},
	})
}

func TestMoving(t *testing.T) {
	clitest.Start(t)
	local(t, map[string]string{"a": "a", "dir/b": "b", "dir/c": "c"})
	steps(t, []step{
		{"mv -v local:a pfs:/memfs", "", 0, "copy /memfs/a\n", ""},
		{"mv local:dir /memfs/dir", "", 0, "", ""},
		{"write /memfs/z z", "", 0, "", ""},
		{"mv -n /memfs/a /memfs/z", "", 0, "", ""},
		{"mv -i /memfs/a /memfs/z", "no\n", 0, "", "replace /memfs/z? [y/N]\n"},
		{"mv -f -v /memfs/a /memfs/z", "", 0, "move /memfs/a -> /memfs/z\n", ""},
		{"mv /memfs/[z] /memfs/dir", "", 0, "", ""},
		{"mv --if-match 1 /memfs/dir/z /memfs/y", "", 6, "", "pfs: …(stale)\nhint: …\n"},
		{"mv /memfs /other", "", 7, "", "pfs: …\nhint: it is a mount…\n"},
		{"mv pfs:/memfs/dir .", "", 0, "", ""},
		{"ls /memfs", "", 0, "README\n", ""},
		{"write /memfs/b b", "", 0, "", ""},
		{"mv -n pfs:/memfs/b dir", "", 0, "", ""},
		{"mv -i pfs:/memfs/b dir", "y\n", 0, "", "replace what is at dir? [y/N]\n"},
		{"ls /memfs", "", 0, "README\n", ""},
		{"mv - /memfs/x", "", 2, "", "pfs: - cannot be moved; see pfs cp\nhint: …\n"},
	})
	if got := strings.Join(tree(t, "."), " "); got != `dir/ dir/b 0 1 "b" dir/c 0 1 "c" dir/z 0 1 "a"` {
		t.Errorf("here is %s", got)
	}
	// What commands something cannot be moved, so that nothing is removed.
	must(t, "job", "write", "/queuefs/q/enqueue")
	if r := pfs(t, "", "mv", "pfs:/queuefs/q", "local:q"); r.Code != cli.ExitPartial {
		t.Errorf("%d %s", r.Code, r.Stderr)
	}
	steps(t, []step{{"cat /queuefs/q/size", "", 0, "1", ""}})
}

// A move to another mount copies and then removes: all, or nothing is removed.
func TestMovingAcrossMounts(t *testing.T) {
	clitest.Start(t)
	steps(t, []step{
		{"mkdir -p /memfs/d/sub /memfs/d/empty", "", 0, "", ""},
		{"put - /memfs/d/sub/f", "content\n", 0, "", ""},
		{"chmod 640 /memfs/d/sub/f", "", 0, "", ""},
		{"ln -s sub/f /memfs/d/l", "", 0, "", ""},
		{"mount memfs /other", "", 0, "", ""},
		{"mv -v /memfs/d /other", "", 0, "move /memfs/d -> /other/d\n", ""},
		{"ls /memfs", "", 0, "README\n", ""},
		{"find /other/d", "", 0, "/other/d\n/other/d/empty\n/other/d/l\n/other/d/sub\n/other/d/sub/f\n", ""},
		{"cat /other/d/l", "", 0, "content\n", ""},
		{"stat -c %a /other/d/sub/f", "", 0, "640\n", ""},

		// A directory takes the place of an empty one, and of nothing else.
		{"mkdir -p /memfs/x/d/full", "", 0, "", ""},
		{"mv /other/d /memfs/x", "", 6, "", "pfs: rename /memfs/x/d: not empty\n"},
		{"rmdir /memfs/x/d/full", "", 0, "", ""},
		{"mv /other/d /memfs/x", "", 0, "", ""},
		{"put - /other/f", "f", 0, "", ""},
		{"mv /memfs/x/d /other/f", "", 1, "", "pfs: rename /other/f: not a directory\n"},
		{"mv -n /other/f /memfs/x/d/sub", "", 0, "", ""},
		{"cat /memfs/x/d/sub/f", "", 0, "content\n", ""},
		{"mv -i /other/f /memfs/x/d/sub", "y", 0, "", "replace /memfs/x/d/sub/f? [y/N]\n"},
		{"cat /memfs/x/d/sub/f", "", 0, "f", ""},
		{"mv --if-match 1 /memfs/x/d/sub/f /other/f", "", 2, "", "pfs: --if-match and --idempotency-key are for moves within a mount, and /other/f is in another\nhint: …\n"},

		// Links go as links, and what is moved onto one does not go to where it leads.
		{"mv /memfs/x/d/l /other/l", "", 0, "", ""},
		{"readlink /other/l", "", 0, "sub/f\n", ""},
		{"put - /memfs/target", "target", 0, "", ""},
		{"ln -s target /memfs/link", "", 0, "", ""},
		{"put - /other/g", "g", 0, "", ""},
		{"mv /other/g /memfs/link", "", 0, "", ""},
		{"cat /memfs/target /memfs/link", "", 0, "targetg", ""},
		{"ln -s target /memfs/link2", "", 0, "", ""},
		{"mv /other/l /memfs/link2", "", 0, "", ""},
		{"readlink /memfs/link2", "", 0, "sub/f\n", ""},
		{"ls -A /other", "", 0, "README\n", ""},

		// What cannot be copied stays, and so does what has a mount in it.
		{"mkdir -p /memfs/q", "", 0, "", ""},
		{"put - /memfs/q/f", "f", 0, "", ""},
		{"mv /memfs/q /queuefs/new", "", 7, "", "pfs: write: /queuefs/new/f: permission denied …\npfs: 1 of 1 failed\n"},
		{"cat /memfs/q/f", "", 0, "f", ""},
		{"put - /queuefs/jobs/enqueue", "job", 0, "", ""},
		{"mv -q /queuefs/jobs /other/jobs", "", 10, "", "pfs: /queuefs/jobs: not all of it could be copied; it stays where it was\n"},
		{"cat /queuefs/jobs/size", "", 0, "1", ""},
		{"mount memfs /memfs/q/in", "", 0, "", ""},
		{"mv /memfs/q /other", "", 7, "", "pfs: rename: /memfs/q: permission denied (mount point) (permission)\n"},
		{"cat /memfs/q/f", "", 0, "f", ""},
	})
	if left := must(t, "", "find", "/memfs", "/other", "-name", ".pfs-*"); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestWriting(t *testing.T) {
	clitest.Start(t)
	steps(t, []step{
		{"write /memfs/f", "from stdin\n", 0, "", ""},
		{"write --append /memfs/f more", "", 0, "", ""},
		{"cat /memfs/f", "", 0, "from stdin\nmore", ""},
		{"write --if-absent /memfs/f x", "", 6, "", "pfs: …(stale)\nhint: …\n"},
		{"write --stream /memfs/f", "streamed", 0, "", ""},
		{"put --stream --append - /memfs/f", ", twice", 0, "", ""},
		{"cat /memfs/f", "", 0, "streamed, twice", ""},
		{"write --stream /memfs/f text", "", 2, "", "pfs: --stream is of stdin, not of text\nhint: …\n"},
		{"put --stream f /memfs/f", "", 2, "", "pfs: --stream is of stdin, which is written -\nhint: …\n"},
		{"write --stream --idempotency-key k /memfs/f", "", 2, "", "pfs: --stream and --idempotency-key exclude each other…\nhint: …\n"},
		{"write --idempotency-key k /memfs/f x", "", 0, "", ""},
		{"write --idempotency-key k /memfs/f y", "", 6, "", "pfs: …(key_reused)\n"},
	})
}

func TestEdit(t *testing.T) {
	clitest.Start(t)
	local(t, nil)
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile("editor", []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("EDITOR", "./editor")
	t.Setenv("VISUAL", "")
	t.Setenv("TMPDIR", t.TempDir())
	script("echo new > $1")
	steps(t, []step{
		{"edit /memfs/f", "", 0, "", ""},
		{"cat /memfs/f", "", 0, "new\n", ""},
		{"edit /memfs/f", "", 0, "", "/memfs/f is unchanged\n"},
		{"edit /memfs", "", 2, "", "pfs: /memfs is a directory\nhint: …\n"},
		{"write /queuefs/q/enqueue job", "", 0, "", ""},
		{"edit /queuefs/q/dequeue", "", 2, "", "pfs: /queuefs/q/dequeue is there to command, not to hold content\nhint: …\n"},
	})
	script("exit 3")
	steps(t, []step{{"edit /memfs/f", "", 1, "", "pfs: editor ./editor: exit status 3\nhint: name another one with EDITOR\n"}})
	if left, err := filepath.Glob(os.Getenv("TMPDIR") + "/pfs-edit-*"); len(left) != 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	// Another one writes while the editor is open.
	script("echo mine >> $1; while [ ! -e go ]; do sleep 0.01; done")
	done := make(chan clitest.Ran)
	go func() { done <- clitest.Program(run).Run(t, "", "edit", "/memfs/f") }()
	for { // until the editor has the file
		if found, _ := filepath.Glob(os.Getenv("TMPDIR") + "/pfs-edit-*/f"); len(found) == 1 {
			if b, err := os.ReadFile(found[0]); err == nil && strings.Contains(string(b), "mine") {
				break
			}
		}
	}
	must(t, "", "write", "/memfs/f", "theirs")
	if err := os.WriteFile("go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.Code != cli.ExitConflict || !clitest.Like("/memfs/f was changed meanwhile, and is in …; the change:\n--- …\n+++ …\n@@ …\n-new\n+theirs\n\\ No newline…\n"+
		"your text is kept in …\npfs: …(stale)\nhint: bring both together, then: pfs put --if-match '…' …/f /memfs/f\n", r.Stderr) {
		t.Errorf("%d %s", r.Code, r.Stderr)
	}
	kept, _ := filepath.Glob(os.Getenv("TMPDIR") + "/pfs-edit-*/f")
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	if b, err := os.ReadFile(kept[0]); string(b) != "new\nmine\n" || err != nil {
		t.Errorf("kept %q, %v", b, err)
	}
	steps(t, []step{{"cat /memfs/f", "", 0, "theirs", ""}})
}
