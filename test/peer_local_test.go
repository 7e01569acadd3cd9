package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// peerLocal does to a directory of the disk what gets out of the peer's, blocks
// it, or destroys it. (gptfs does not exist; httpfs
// has tests of its own.)
func peerLocal(p *peer) {
	base := p.TempDir()
	dir, l := filepath.Join(base, "served"), p.dir+"-l"
	err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(base, "secret"), []byte("canary"), 0o600),
		os.Symlink("/etc", filepath.Join(dir, "etc")), os.Symlink("../secret", filepath.Join(dir, "out")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	if err != nil {
		p.Fatal(err)
	}
	p.mount("localfs", l, fmt.Sprintf(`{"local_dir":%q}`, dir))
	for name, test := range map[string]func(p *peer, l, dir string){
		"links lead out":                   localLinks,
		"dangling links cannot be removed": localDangling,
		"a pipe blocks everything":         localPipe,
		"removing the root":                localRoot,
		"a long file is held in memory":    localLong,
		"two make one file":                localExclusive,
		"mistakes are answered with 500":   localStatuses,
	} {
		p.Run(name, func(t *testing.T) {
			q := *p
			q.T, q.t = t, t
			test(&q, l, dir)
		})
	}
}

func localLinks(p *peer, l, _ string) {
	for _, path := range []string{"/etc/passwd", "/etc", "/out", "/out/x"} {
		for _, r := range []struct{ method, route string }{
			{"GET", "/files"}, {"PUT", "/files"}, {"GET", "/directories"}, {"POST", "/truncate"}, {"POST", "/touch"},
		} {
			a, err := p.patient(r.method, r.route+"?size=0&path="+l+path, "x")
			if err != nil || a.status/100 != 4 || strings.Contains(a.body, "canary") || strings.Contains(a.body, "root:") {
				p.Errorf("%s %s of %s: %v %d %.100s", r.method, r.route, path, err, a.status, a.body)
			}
		}
	}
	h := p.open(l+"/out", "flags=readwrite")
	p.want(403, "GET", h+"/read?size=10", "")
	p.want(403, "PUT", h+"/write?offset=0", "x")
	p.want(200, "DELETE", h, "")
	for _, target := range []string{"/etc/passwd", "../secret", "x/../../secret"} {
		p.want(403, "POST", "/symlink?path="+l+"/new", `{"target":"`+target+`"}`)
	}
	if got := p.grep(l, "canary", true); len(got) != 0 {
		p.Errorf("grep finds %v", got)
	}
}

func localDangling(p *peer, l, dir string) {
	if e := p.stat(l + "/dangling"); e.Meta.Type != "symlink" {
		p.Errorf("%+v", e)
	}
	p.want(200, "DELETE", "/files?path="+l+"/dangling", "")
	if _, err := os.Lstat(filepath.Join(dir, "dangling")); !os.IsNotExist(err) {
		p.Error(err)
	}
}

func localPipe(p *peer, l, _ string) {
	start := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p.want(403, "GET", "/files?path="+l+"/pipe", "")
			p.want(403, "PUT", "/files?path="+l+"/pipe", "x")
		})
	}
	p.put(l+"/beside", "x")
	p.reads(l+"/beside", "x")
	wg.Wait()
	if took := time.Since(start); took > 60*time.Second {
		p.Errorf("it took %v", took)
	}
}

func localRoot(p *peer, l, dir string) {
	p.put(l+"/kept", "x")
	p.want(403, "DELETE", "/files?path="+l+"&recursive=true", "")
	p.want(403, "DELETE", "/files?path="+l, "")
	if b, err := os.ReadFile(filepath.Join(dir, "kept")); err != nil || string(b) != "x" {
		p.Errorf("%q, %v", b, err)
	}
}

// localLong reads parts of a file that is longer than memory.
func localLong(p *peer, l, dir string) {
	f, err := os.Create(filepath.Join(dir, "long"))
	if err != nil {
		p.Fatal(err)
	}
	_, err = f.WriteAt([]byte("end"), 1<<40)
	if err = errors.Join(err, f.Close()); err != nil {
		p.Fatal(err)
	}
	if a := p.want(206, "GET", "/files?path="+l+"/long", "", "Range", "bytes=-3"); a.body != "end" {
		p.Errorf("%q", a.body)
	}
	h := p.open(l+"/long", "")
	p.want(200, "DELETE", h, "")
	p.want(200, "DELETE", "/files?path="+l+"/long", "")
}

func localExclusive(p *peer, l, _ string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 16 {
		wg.Go(func() {
			route := "/files?flags=create,exclusive,truncate&path=" + l + "/once"
			method := "PUT"
			if i%2 == 0 {
				method, route = "POST", "/files?path="+l+"/once"
			}
			a, err := p.patient(method, route, "x")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && a.status/100 == 2:
				made++
			case err != nil || a.status != 409:
				p.Errorf("%v %+v", err, a)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		p.Errorf("it was made %d times", made)
	}
}

func localStatuses(p *peer, l, _ string) {
	p.mkdir(l + "/d")
	p.put(l+"/d/f", "x")
	p.want(404, "GET", "/files?path="+l+"/none", "")
	p.want(404, "PUT", "/files?path="+l+"/none/f", "x")
	p.want(404, "POST", "/rename?path="+l+"/none", `{"newPath":"`+l+`/d2"}`)
	p.want(409, "DELETE", "/files?path="+l+"/d", "")
	p.want(409, "POST", "/directories?path="+l+"/d", "")
	p.want(400, "GET", "/files?path="+l+"/d", "")
	p.want(400, "GET", "/directories?path="+l+"/d/f", "")
	p.want(400, "PUT", "/files?path="+l+"/d", "x")
	p.want(400, "PUT", "/files?path="+l+"/d/f/g", "x")
	if m := p.stat(l + "/d").Mode; m != 0o755 {
		p.Errorf("a directory has mode %o", m)
	}
}

// TestLocalfsPower takes the power of a served disk while files are replaced:
// what was acknowledged is there, and every file is one whole content.
func TestLocalfsPower(t *testing.T) {
	t.Parallel()
	disk := harness.NewDisk(t, 100)
	dir := filepath.Join(disk.Dir(), "served")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := harness.Start(t, harness.Options{}).Nodes[0]
	w := newWeb(t, n)
	w.mount("localfs", "/local", fmt.Sprintf(`{"local_dir":%q}`, dir))
	content := func(file, round int) string {
		return strings.Repeat(fmt.Sprintf("file %d round %d\n", file, round), 3000)
	}
	var mu sync.Mutex
	acked, asked := map[int]int{}, map[int]int{}
	cut := false
	var wg sync.WaitGroup
	for file := range 4 {
		wg.Go(func() {
			for round := 1; ; round++ {
				mu.Lock()
				asked[file] = round
				mu.Unlock()
				a, err := w.do("PUT", fmt.Sprintf("/files?path=/local/f%d", file), strings.NewReader(content(file, round)))
				mu.Lock()
				over := cut
				if ok := err == nil && a.status == 200; ok && !over {
					acked[file] = round
				} else if !over {
					t.Errorf("%v %+v", err, a)
				}
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) == 4 && acked[0]+acked[1]+acked[2]+acked[3] > 40
	}
	if !harness.Poll(60*time.Second, enough) {
		t.Fatalf("acknowledged: %v", acked)
	}
	mu.Lock()
	cut = true
	err := disk.Cut()
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	n.Kill()
	disk.Unmount()
	disk.Mount()
	for file, round := range acked {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("f%d", file)))
		whole := false
		for r := round; r <= asked[file]; r++ {
			whole = whole || string(b) == content(file, r)
		}
		if err != nil || !whole {
			t.Errorf("f%d: %.40q of %d bytes, %v; round %d was acknowledged, %d asked for", file, b, len(b), err, round, asked[file])
		}
	}
	t.Logf("acknowledged rounds: %v", acked)
}

// peerAcross renames across mounts, which is refused with a word that clients
// know and changes nothing, and over a file that is being read: there is always
// one, whole. Modes are kept as advice.
func peerAcross(p *peer) {
	disk, other := p.TempDir(), p.dir+"-local"
	p.mount("localfs", other, fmt.Sprintf(`{"local_dir":%q}`, disk))
	p.mkdir(p.dir + "/d")
	p.put(p.dir+"/d/f", "in memory")
	p.put(other+"/f", "on the disk")
	for from, to := range map[string]string{p.dir + "/d": other + "/d", p.dir + "/d/f": other + "/f", other + "/f": p.dir + "/f"} {
		if a := p.want(501, "POST", "/rename?path="+from, fmt.Sprintf(`{"newPath":%q}`, to)); !strings.Contains(a.body, "cannot rename across different mounts") {
			p.Errorf("%s: %s", from, a.body)
		}
	}
	p.reads(p.dir+"/d/f", "in memory")
	p.reads(other+"/f", "on the disk")
	p.want(404, "GET", "/stat?path="+other+"/d", "")
	p.want(200, "POST", "/chmod?path="+other+"/f", `{"mode":256}`)
	if e := p.stat(other + "/f"); e.Mode&0o777 != 0o400 {
		p.Errorf("the mode is %o", e.Mode)
	}

	content := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 300_000) }
	for _, at := range []string{p.dir, other} {
		p.put(at+"/g", content(0))
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					a, err := p.patient("GET", "/files?path="+at+"/g", "")
					if err != nil || a.status != 200 || len(a.body) != len(content(0)) || strings.Trim(a.body, a.body[:1]) != "" {
						p.Errorf("%s/g: %v, %d, %d bytes", at, err, a.status, len(a.body))
						return
					}
				}
			})
		}
		for i := range 20 {
			p.put(at+"/next", content(i))
			p.want(200, "POST", "/rename?path="+at+"/next", fmt.Sprintf(`{"newPath":"%s/g"}`, at))
		}
		close(done)
		readers.Wait()
		p.reads(at+"/g", content(19))
	}
}
