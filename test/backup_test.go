package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/test/harness"
)

// cli runs the pfs program against one node and returns what it printed and its
// exit code.
func cli(t *testing.T, n *harness.Node, bin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pfs"), args...)
	cmd.Env = append(os.Environ(), "PFS_URL="+n.URL)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// cliSoon is cli, and again as long as that says that a retry may help: while a
// leader is elected, say.
func cliSoon(t *testing.T, n *harness.Node, bin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	harness.Poll(time.Minute, func() bool {
		stdout, stderr, code = cli(t, n, bin, args...)
		return code != 5
	})
	return stdout, stderr, code
}

// ok is cliSoon that succeeds, with its JSON in out.
func ok(t *testing.T, n *harness.Node, bin string, out any, args ...string) {
	t.Helper()
	stdout, stderr, code := cliSoon(t, n, bin, append(args, "-o", "json")...)
	if code != 0 {
		t.Fatalf("pfs %v: exit code %d\n%s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), out); err != nil {
		t.Fatalf("pfs %v: %v\n%s", args, err, stdout)
	}
}

type backupInfo struct {
	Index   uint64 `json:"index"`
	Digest  string `json:"digest"`
	Rows    uint64 `json:"rows"`
	Chunks  uint64 `json:"chunks"`
	Trailer struct {
		Bytes int64 `json:"bytes"`
	} `json:"trailer"`
}

// seed writes something of everything: short and long files, a directory, a
// link, a mount, messages, keys and an answer under an idempotency key.
func seed(t *testing.T, c *harness.Cluster) map[string]string {
	t.Helper()
	ctx, cl := context.Background(), c.Client(0)
	files := map[string]string{}
	put := func(path string, content []byte) {
		t.Helper()
		if _, err := cl.WriteFile(ctx, path, content); err != nil {
			t.Fatal(err)
		}
		files[path] = string(content)
	}
	web := newWeb(t, c.Nodes[0])
	web.want(200, "POST", "/mount", `{"fstype":"memfs","path":"/mine"}`)
	web.want(201, "POST", "/directories?path=/memfs/d", "")
	web.want(200, "PUT", "/files?path=/memfs/keyed", "first", "Idempotency-Key", "k-1")
	files["/memfs/keyed"] = "first"
	for i, size := range []int64{0, 1, 40 << 10, 5 << 20, 9<<20 + 123} {
		b, err := io.ReadAll(random(uint64(i), size))
		if err != nil {
			t.Fatal(err)
		}
		put(fmt.Sprintf("/memfs/d/size-%d", size), b)
	}
	for i := range rounds(40, 20_000) {
		put(fmt.Sprintf("/mine/f%d", i), fmt.Append(nil, "file ", i))
	}
	put("/kvfs/keys/a", []byte("1"))
	web.want(201, "POST", "/symlink?path=/memfs/link", `{"target":"/mine/f1"}`)
	for i := range 3 {
		if _, err := cl.WriteFile(ctx, "/queuefs/q/enqueue", fmt.Append(nil, "message ", i)); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// sameFiles reads files from a node and compares them.
func sameFiles(t *testing.T, n *harness.Node, files map[string]string) {
	t.Helper()
	cl := stubborn(t, n)
	for path, want := range files {
		if b, err := cl.ReadFile(context.Background(), path); err != nil || string(b) != want {
			t.Errorf("%s: %s has %d bytes, expected %d (%v)", n.ID, path, len(b), len(want), err)
		}
	}
}

// TestBackupAndRestore takes backups of three nodes, at rest and under load,
// wipes all of them, and restores into one new node and into three: digest and
// every file are those of the backup.
func TestBackupAndRestore(t *testing.T) {
	for range rounds(1, 20) {
		backupAndRestore(t)
	}
}

func backupAndRestore(t *testing.T) {
	c := harness.Start(t, harness.Options{Nodes: 3})
	files := seed(t, c)
	leader := c.Leader()
	follower := c.Nodes[0]
	if follower == leader {
		follower = c.Nodes[1]
	}
	dir := t.TempDir()
	var quiet, busy, again backupInfo
	same := harness.Poll(time.Minute, func() bool { // again if the cluster has noted something by itself meanwhile
		index, digest := c.SameDigest()
		ok(t, follower, c.Bin, &quiet, "cluster", "backup", filepath.Join(dir, "quiet"))
		if quiet.Index == index && quiet.Digest != digest {
			t.Fatalf("the backup is of %d %s, the cluster was at %s", quiet.Index, quiet.Digest, digest)
		}
		return quiet.Index == index
	})
	if !same {
		t.Errorf("the backup is of %d, the cluster was never at that", quiet.Index)
	}
	w := startLoad(t, c, 8)
	if !harness.Poll(2*time.Minute, func() bool { return w.acked() > 300 }) {
		t.Fatal("no load")
	}
	putFile(t, c.Client(0), "/mine/before", "1")
	start := time.Now()
	ok(t, follower, c.Bin, &busy, "cluster", "backup", filepath.Join(dir, "busy"))
	t.Logf("backup under load: %d rows, %d chunks, %d MiB in %d ms", busy.Rows, busy.Chunks, busy.Trailer.Bytes>>20, time.Since(start).Milliseconds())
	putFile(t, c.Client(0), "/mine/after", "1")
	w.stop()
	ok(t, follower, c.Bin, &again, "cluster", "backup", "--verify", filepath.Join(dir, "busy"))
	if again != busy || busy.Index <= quiet.Index {
		t.Errorf("%+v, verified %+v", busy, again)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Error(left)
	}
	c.KillAll()
	for _, n := range c.Nodes {
		if err := os.RemoveAll(n.Dir); err != nil {
			t.Fatal(err)
		}
	}
	restoreInto(t, 1, filepath.Join(dir, "quiet"), quiet, files)
	files["/mine/before"] = "1"
	to := restoreInto(t, 3, filepath.Join(dir, "busy"), busy, files)
	if _, err := to.Client(0).Stat(context.Background(), "/mine/after"); err == nil {
		t.Error("a file written after the backup is there")
	}
}

// restoreInto loads a backup into a new cluster of some nodes and looks at it.
func restoreInto(t *testing.T, nodes int, file string, want backupInfo, files map[string]string) *harness.Cluster {
	t.Helper()
	c := harness.Start(t, harness.Options{Nodes: nodes})
	at := c.Nodes[nodes-1]
	var done backupInfo
	start := time.Now()
	if nodes == 1 { // from stdin, of unknown length
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.Run(string(b), "cluster", "restore", "-o", "json", "-")), &done); err != nil {
			t.Fatal(err)
		}
	} else {
		ok(t, at, c.Bin, &done, "cluster", "restore", file)
	}
	t.Logf("restored into %d nodes in %d ms: digest %.16s", nodes, time.Since(start).Milliseconds(), done.Digest)
	if done.Digest != want.Digest || done.Rows != want.Rows || done.Chunks != want.Chunks {
		t.Errorf("restored %+v of %+v", done, want)
	}
	c.Ready()
	if _, digest := c.SameDigest(); digest != want.Digest {
		t.Errorf("digest %s, of the backup %s", digest, want.Digest)
	}
	for _, n := range c.Nodes {
		sameFiles(t, n, files)
	}
	web := newWeb(t, at)
	if a := web.want(200, "PUT", "/files?path=/memfs/keyed", "first", "Idempotency-Key", "k-1"); a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("an answer is lost: %v", a.header)
	}
	web.want(422, "PUT", "/files?path=/memfs/keyed", "second", "Idempotency-Key", "k-1")
	var message struct{ Data string }
	web.json("GET", "/files?path=/queuefs/q/dequeue", "", &message)
	if message.Data != "message 0" {
		t.Errorf("the queue gave %+v", message)
	}
	if a := web.want(200, "GET", "/files?path=/memfs/link", ""); a.body != files["/mine/f1"] {
		t.Errorf("the link leads to %q", a.body)
	}
	if _, stderr, code := cliSoon(t, at, c.Bin, "cluster", "restore", file); code != 6 || !strings.Contains(stderr, "empty cluster only") {
		t.Errorf("a second restore: exit code %d, %s", code, stderr)
	}
	c.SameDigest()
	return c
}

// TestRestoreFails sends backups that are cut or damaged, loses the connection,
// and kills the node that restores: each time an empty cluster is left. It takes
// the whole backup in the end, although its leader is killed on the way.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	from := harness.Start(t, harness.Options{})
	files := seed(t, from)
	good := filepath.Join(t.TempDir(), "good")
	var info backupInfo
	ok(t, from.Nodes[0], from.Bin, &info, "cluster", "backup", good)
	from.KillAll()
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	c := harness.Start(t, harness.Options{Nodes: 3})
	n := c.Nodes[0]
	bad := filepath.Join(t.TempDir(), "bad")
	for _, b := range [][]byte{data[:len(data)/3], data[:len(data)-1], append(bytes.Clone(data[:len(data)/2]), data[len(data)/2+1:]...), {}} {
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := cliSoon(t, n, c.Bin, "cluster", "restore", bad); code != 2 || !strings.Contains(stderr, "damaged backup") {
			t.Errorf("%d bytes: exit code %d, %s", len(b), code, stderr)
		}
		if _, stderr, code := cli(t, n, c.Bin, "cluster", "backup", "--verify", bad); code != 1 || !strings.Contains(stderr, "damaged backup") {
			t.Errorf("%d bytes: exit code %d, %s", len(b), code, stderr)
		}
	}
	isEmpty(t, c)

	conn := halfRestore(t, n, data)
	conn.Close()
	isEmpty(t, c)

	conn = halfRestore(t, n, data)
	defer conn.Close()
	underWay := func() bool {
		files, _ := os.ReadDir(filepath.Join(n.Dir, "restore")) // none is none
		return len(files) == 1
	}
	harness.Poll(20*time.Second, underWay) // the cluster knows of it first
	n.Kill()
	if !underWay() {
		t.Error("there is no file of the restore under way")
	}
	n.Start()
	isEmpty(t, c)
	if left, _ := os.ReadDir(filepath.Join(n.Dir, "restore")); len(left) != 0 {
		t.Errorf("%d files are left over", len(left))
	}

	lead := c.Leader()
	follower := c.Nodes[0]
	if follower == lead {
		follower = c.Nodes[1]
	}
	conn = halfRestore(t, follower, data)
	defer conn.Close()
	lead.Kill()
	if _, err := conn.Write(data[len(data)-5<<20:]); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("X-Pfs-Digest"); resp.StatusCode != 200 || got != info.Digest {
		t.Errorf("without the leader: %s, digest %s", resp.Status, got)
	}
	lead.Start()
	c.Ready()
	if _, digest := c.SameDigest(); digest != info.Digest {
		t.Errorf("digest %s, of the backup %s", digest, info.Digest)
	}
	for _, n := range c.Nodes {
		sameFiles(t, n, files)
	}
}

// halfRestore sends most of a backup to a node and returns once the cluster
// knows of the restore.
func halfRestore(t *testing.T, n *harness.Node, data []byte) net.Conn {
	t.Helper()
	host := strings.TrimPrefix(n.URL, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/v1/restore HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, len(data))
	if _, err := conn.Write(data[:len(data)-5<<20]); err != nil {
		t.Fatal(err)
	}
	known := harness.Poll(30*time.Second, func() bool {
		a, err := newWeb(t, n).do("GET", "/directories?path=/memfs", nil)
		return err == nil && a.status == 503 && strings.Contains(a.body, "being restored")
	})
	if !known {
		t.Fatal("the restore does not show")
	}
	return conn
}

// isEmpty waits until every node of the cluster is ready and has nothing but
// what a new one has.
func isEmpty(t *testing.T, c *harness.Cluster) {
	t.Helper()
	ok := harness.Poll(60*time.Second, func() bool {
		for _, n := range c.Nodes {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			var names []string
			infos, err := n.Client().List(ctx, "/memfs")
			cancel()
			for _, i := range infos {
				names = append(names, i.Name)
			}
			if err != nil || strings.Join(names, " ") != "README" {
				return false
			}
		}
		return true
	})
	if !ok {
		for _, n := range c.Nodes {
			t.Log(n.Tail())
		}
		t.Fatal("the cluster is not empty")
	}
	c.Ready()
}

// A client that goes away in the middle of a backup leaves nothing behind.
func TestBackupIsCutOff(t *testing.T) {
	c := harness.Start(t, harness.Options{})
	n := c.Nodes[0]
	if _, err := n.Client().Write(context.Background(), "/memfs/big", random(1, 200<<20), 200<<20); err != nil {
		t.Fatal(err)
	}
	checkpoints := func() int {
		found, _ := filepath.Glob(filepath.Join(n.Dir, "state", "checkpoint-*"))
		return len(found)
	}
	var open []client.Backup
	for range 2 {
		b, err := n.Client().Backup(context.Background(), true)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, b)
	}
	if checkpoints() != 2 {
		t.Errorf("%d checkpoints", checkpoints())
	}
	if a := newWeb(t, n).want(429, "GET", "/backup", ""); a.header.Get("Retry-After") == "" {
		t.Error(a.header)
	}
	for _, b := range open {
		if _, err := io.CopyN(io.Discard, b.Body, 10<<20); err != nil {
			t.Error(err)
		}
		b.Body.Close()
	}
	if !harness.Poll(20*time.Second, func() bool { return checkpoints() == 0 }) {
		t.Errorf("%d checkpoints are left\n%s", checkpoints(), n.Tail())
	}
	var info backupInfo
	file := filepath.Join(t.TempDir(), "b")
	ok(t, n, c.Bin, &info, "cluster", "backup", file)
	if st, err := os.Stat(file); err != nil || st.Size() < 200<<20 || info.Trailer.Bytes >= st.Size() {
		t.Errorf("%+v, %v", info, err)
	}
	if rss := n.PeakRSS(); rss > 400<<20 {
		t.Errorf("it took %d MiB of memory", rss>>20)
	} else {
		t.Logf("peak RSS %d MiB", rss>>20)
	}
}

// TestScheduledBackups has three nodes back up every second into one directory,
// with a leader killed on the way: no two in one interval, only so many kept,
// and each is a backup.
func TestScheduledBackups(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := fmt.Sprintf("server: {backup: {every: 1s, dir: %q, keep: 3}}\nplugins: {memfs: {path: /memfs}}\n", dir)
	c := harness.Start(t, harness.Options{Nodes: 3, Config: func(int) string { return config }})
	putFile(t, c.Client(0), "/memfs/a", "1")
	backups := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "*.pfsbackup"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if !harness.Poll(30*time.Second, func() bool { return len(backups()) >= 2 }) {
		t.Fatalf("no backups\n%s\n%s\n%s", c.Nodes[0].Tail(), c.Nodes[1].Tail(), c.Nodes[2].Tail())
	}
	lost := c.Leader()
	if lost == nil {
		t.Fatal("no leader")
	}
	lost.Kill()
	seen := map[string]bool{}
	enough := harness.Poll(60*time.Second, func() bool {
		for _, f := range backups() {
			seen[f] = true
		}
		return len(seen) >= 5
	})
	if !enough {
		t.Fatalf("%d backups\n%s\n%s\n%s", len(seen), c.Nodes[0].Tail(), c.Nodes[1].Tail(), c.Nodes[2].Tail())
	}
	lost.Start()
	c.Ready()
	var at []time.Time
	for f := range seen {
		_, rest, _ := strings.Cut(strings.TrimPrefix(filepath.Base(f), "pfs-"), "-")
		when, _, _ := strings.Cut(rest, "-")
		when1, err := time.Parse("20060102T150405Z", when)
		if err != nil {
			t.Fatal(f, err)
		}
		at = append(at, when1)
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := 1; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d < time.Second { // names have whole seconds
			t.Errorf("two backups within %v", d)
		}
	}
	if !harness.Poll(10*time.Second, func() bool { return len(backups()) <= 3 }) {
		t.Errorf("%d are kept", len(backups()))
	}
	newest := filepath.Join(t.TempDir(), "newest.pfsbackup")
	if !harness.Poll(10*time.Second, func() bool { return os.Link(slices.Max(backups()), newest) == nil }) { // the schedule goes on
		t.Fatal("no backup is kept")
	}
	var info backupInfo
	ok(t, c.Nodes[0], c.Bin, &info, "cluster", "backup", "--verify", newest)
	for _, n := range c.Nodes {
		text := newWeb(t, n).metrics()
		for _, name := range []string{"pfs_backups_total", "pfs_backup_failures_total", "pfs_backup_last_duration_seconds", "pfs_backup_last_bytes"} {
			if !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s has no %s", n.ID, name)
			}
		}
		knows := func() bool { // one that was started again may be behind
			return strings.Contains(newWeb(t, n).metrics(), "\npfs_backup_last_success_timestamp_seconds 1.")
		}
		if !harness.Poll(20*time.Second, knows) {
			t.Errorf("%s does not know of a backup", n.ID)
		}
	}
	t.Logf("%d backups seen, newest at index %d", len(seen), info.Index)
}
