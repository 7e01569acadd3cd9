package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// hostilePlugin is a plugin that does what plugins must not when a file is read or,
// with "list:" before it, a directory is listed. ends: the process ends by that.
type hostilePlugin struct {
	name, file   string
	ends, others []string
}

var hostilePlugins = []hostilePlugin{
	{"hostile", "hostile.so",
		[]string{"/segv", "/abort", "/exit", "/_exit", "/stack", "/twice", "/huge", "/hangup", "/forge", "/forge2", "/fork", "/bomb", "/threads", "/trickle", "/wild", "/low", "/loop", "list:/list/wild"},
		[]string{"/null", "/minus", "/minus2", "/long", "/endless", "/print", "list:/list/more", "list:/list/many", "list:/list/slash", "list:/list/null"}},
	{"hostile-py", "frames",
		[]string{"/garbage", "/text", "/huge", "/deep", "/half", "/trickle", "/flood", "/asks", "/crash", "/exit", "/abort", "/close"},
		[]string{"/fill", "/shout", "/loop", "/eat", "/bomb", "/once", "/silence"}},
	{"hostile-http", "web",
		[]string{"/exit", "/abort"},
		[]string{"/garbage", "/half", "/header", "/headers", "/flood", "/trickle", "/chunks", "/away", "/error", "/many", "/silence", "/loop", "/eat", "/bomb"}},
	{"hostile-wasm", "hostile.wasm",
		[]string{"/loop", "/sleep", "/eat", "/once", "/exit", "/panic", "/null", "/deep", "/shout"}, nil},
}

// refusedFiles is what must not load, by file name.
func refusedFiles(t *testing.T, so, module []byte) map[string][]byte {
	t.Helper()
	arch := bytes.Clone(so)
	arch[18] = 8 // MIPS
	out := map[string][]byte{
		"cut.so": so[:len(so)/3], "head.so": so[:64], "arch.so": arch, "cut.wasm": module[:len(module)/2], "text.so": []byte("text"),
		"silent": []byte("#!/bin/sh\nexec sleep 1000\n"), "interpreter": []byte("#!/no/such/thing\n"), "loops": []byte("#!/bin/sh\nwhile :; do :; done\n"),
		"bombs": []byte("#!/bin/sh\nb() { b | b & b; }; b\n"), "zeroes": []byte("#!/bin/sh\nexec cat /dev/zero\n"),
		"functions.wasm": wasmBomb(3, 200_000_000), "memory.wasm": append([]byte("\x00asm\x01\x00\x00\x00\x05"), 6, 1, 0, 0x80, 0x80, 0x04, 0),
	}
	for name, does := range map[string]string{"exits": "exit(7)", "faults": "*(volatile int*)8=1", "spins": "for(;;)", "forks": "for(;;)fork()"} {
		out[name+".so"] = hostileLibrary(t, "-DCONSTRUCTOR="+does)
	}
	return out
}

// wasmBomb is a module that says a section has count entries, and has none.
func wasmBomb(section byte, count uint32) []byte {
	var n []byte
	for ; count > 0x7f; count >>= 7 {
		n = append(n, byte(count)|0x80)
	}
	n = append(n, byte(count))
	return append([]byte("\x00asm\x01\x00\x00\x00"), append([]byte{section, byte(len(n))}, n...)...)
}

// hostileLibrary compiles that of the tests of ffi.
func hostileLibrary(t *testing.T, flags ...string) []byte {
	t.Helper()
	root, out := harness.Root(t), filepath.Join(t.TempDir(), "hostile.so")
	args := []string{"-O1", "-w", "-fPIC", "-shared", "-pthread", "-I" + filepath.Join(root, "examples", "c-native"), "-o", out}
	cmd := exec.Command("cc", append(append(args, filepath.Join(root, "ffi", "testdata", "hostile.c")), flags...)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return fileBytes(t, out)
}

func fileBytes(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mayStart are the grants of plugins that may start processes.
const mayStart = `{"processes":true}`

// hostileNode is a node with the plugins of hostilePlugins loaded, and three mounts
// beside them: the log's, a library's and a program's.
type hostileNode struct {
	web
	node   *harness.Node
	dir    string   // of the plugins
	so     []byte   // of hostile.so
	module []byte   // of hostile.wasm
	grants string   // of the plugins, in JSON
	others []string // files that must be served whatever happens
	served atomic.Int64
}

const quietText = "left in peace"

func newHostileNode(t *testing.T, crashes int, grants string) *hostileNode {
	t.Helper()
	dir := t.TempDir()
	nativeExamples(t, dir)
	processExamples(t, dir)
	root := harness.Root(t)
	overlay := filepath.Join(t.TempDir(), "overlay")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "examples", "go-wasm", "hello", "main.go"): filepath.Join(root, "test", "testdata", "hostile", "guest.go")}})
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	so, module := hostileLibrary(t), fileBytes(t, wasmExample(t, t.TempDir(), "hello", "-overlay", overlay))
	files := map[string][]byte{}
	traps := filepath.Join(root, "test", "testdata", "hostile")
	sdk := fileBytes(t, filepath.Join(root, "examples", "python-msgpack", "pfsplugin.py"))
	files["hostile.so"], files["hostile.wasm"], files["web"] = so, module, fileBytes(t, filepath.Join(traps, "web.py"))
	files["frames"] = slices.Concat([]byte("#!/usr/bin/env python3\n"), sdk, fileBytes(t, filepath.Join(traps, "frames.py")))
	writeFiles(t, dir, files)
	c := harness.Start(t, harness.Options{Config: func(int) string {
		return fmt.Sprintf("external_plugins:\n  enabled: true\n  plugin_dir: %q\n  crashes: %d\nplugins:\n  memfs: {path: /memfs}\n", dir, crashes)
	}})
	h := &hostileNode{web: newWeb(t, c.Nodes[0]), node: c.Nodes[0], dir: dir, so: so, module: module, grants: grants, others: []string{"/memfs/f", "/native/f", "/program/f"}}
	for _, p := range hostilePlugins {
		limits := `"call":"500ms","memory":"64MB"`
		if strings.HasSuffix(p.file, ".wasm") {
			limits += fmt.Sprintf(`,"instances":%d`, runtime.NumCPU()) // as many as could take all processors of the node
		}
		h.loadSoon(p.file, limits)
	}
	for at, p := range map[string][2]string{"/native": {"memory.so", "memory-c"}, "/program": {"memory", "memory-http"}} {
		h.loadSoon(p[0], `"call":"8s"`) // they must answer however long the machine stands still
		h.want(200, "POST", "/mount", fmt.Sprintf(`{"fstype":%q,"path":%q}`, p[1], at))
		h.soon(at)
	}
	for _, f := range h.others {
		h.put(f, quietText)
	}
	return h
}

// beside asks for one of the other files, and reports what is not as it was.
func (h *hostileNode) beside(n int) {
	at := h.others[n%len(h.others)]
	if a, err := h.do("GET", "/files?path="+at, nil); err != nil || a.status != 200 || a.body != quietText {
		h.t.Errorf("beside it: %s: %d %.200s, %v", at, a.status, a.body, err)
	}
	h.served.Add(1)
}

// keepAsking asks for the other files, one after the other, until stop is called.
func (h *hostileNode) keepAsking() (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-time.After(10 * time.Millisecond):
				h.beside(n)
			}
		}
	}()
	return func() { close(over); <-done }
}

// trick has the plugin at a mount do one thing.
func (h *hostileNode) trick(at, does string) (answer, error) {
	if dir, ok := strings.CutPrefix(does, "list:"); ok {
		return h.do("GET", "/directories?path="+at+dir, nil)
	}
	return h.do("GET", "/files?path="+at+does, nil)
}

// loadSoon loads a plugin. The calls of a hostile one are given so little time that a
// machine at work may take longer for its start.
func (h *hostileNode) loadSoon(file, limits string) {
	h.t.Helper()
	var last answer
	if !harness.Poll(60*time.Second, func() bool {
		var err error
		last, err = h.patient("POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q,"limits":{%s},"grants":%s}`, file, limits, h.grants))
		return err == nil && last.status == 200
	}) {
		h.t.Fatalf("%s is not loaded: %d %s", file, last.status, last.body)
	}
}

// mountSoon mounts a plugin and waits for it, as loadSoon does.
func (h *hostileNode) mountSoon(name, at string) {
	var last answer
	if !harness.Poll(30*time.Second, func() (ok bool) {
		var err error
		last, err = h.do("POST", "/mount", strings.NewReader(fmt.Sprintf(`{"fstype":%q,"path":%q}`, name, at)))
		return err == nil && last.status == 200
	}) {
		h.t.Errorf("%s is not mounted: %d %s", name, last.status, last.body)
	}
	h.soon(at + "/f")
}

// round mounts a hostile plugin anew, has it do something a few times, and sees that
// its mount tells of it and is there again.
func (h *hostileNode) round(at string, p hostilePlugin, does string, times int) {
	h.mountSoon(p.name, at)
	for range times {
		began := time.Now()
		a, err := h.trick(at, does)
		switch {
		case err != nil && a.status == 200: // it was cut off in the middle: so is the answer
		case err != nil:
			h.t.Errorf("%s %s: %v", p.name, does, err)
		case a.status == 200 && slices.Contains(p.ends, does):
			h.t.Errorf("%s %s: 200 %.100q", p.name, does, a.body)
		case a.status >= 400:
			h.problem(a, p.name+" "+does)
		}
		if took := time.Since(began); took > 25*time.Second {
			h.t.Errorf("%s %s: an answer after %v", p.name, does, took)
		}
	}
	if slices.Contains(p.ends, does) {
		var last string
		if !harness.Poll(30*time.Second, func() bool {
			m := h.shown(at)
			if last = fmt.Sprintf("%+v", m); m.Ends == 0 {
				_, _ = h.trick(at, does) // it may not have come to that, in the little time that it has
			}
			return m.Ends > 0 && (m.Process != "backoff" || m.Error != "")
		}) {
			h.t.Errorf("%s %s: the mount tells nothing of it: %s", p.name, does, last)
		}
	}
	h.readsSoon(at+"/f", "fine.")
	h.want(200, "POST", "/unmount", fmt.Sprintf(`{"path":%q}`, at))
}

// Whatever plugins do, in random rounds, the node and its other mounts serve, and the
// mount says why it did not and is there again. PFS_SOAK=1 makes it a thousand
// rounds, or as many as fit into -timeout; PFS_SOAK_ROUNDS and PFS_SOAK_SEED say how
// many and which.
func TestHostilePlugins(t *testing.T) {
	rounds := 12
	if soak() {
		rounds = 1000
	}
	if n, err := strconv.Atoi(os.Getenv("PFS_SOAK_ROUNDS")); err == nil {
		rounds = n
	}
	seed, err := strconv.ParseUint(os.Getenv("PFS_SOAK_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("PFS_SOAK_SEED=%d", seed)
	h := newHostileNode(t, 1000, mayStart)
	stop := h.keepAsking()
	end, ok := t.Deadline()
	var next, played atomic.Int64
	var workers sync.WaitGroup
	for w := range 3 {
		workers.Go(func() {
			for n := int(next.Add(1)); n <= rounds && !t.Failed() && (!ok || time.Until(end) > 45*time.Second); n = int(next.Add(1)) {
				random := rand.New(rand.NewPCG(seed, uint64(n)))
				p := hostilePlugins[random.IntN(len(hostilePlugins))]
				tricks := slices.Concat(p.ends, p.others)
				h.round(fmt.Sprintf("/bad%d", w), p, tricks[random.IntN(len(tricks))], 1+random.IntN(2))
				played.Add(1)
			}
		})
	}
	workers.Wait()
	stop()
	if n := played.Load(); n < min(int64(rounds), 12) && !t.Failed() {
		t.Errorf("only %d rounds fitted into the time", n)
	}
	t.Logf("%d of %d rounds with seed %d; %d requests beside them were all served", played.Load(), rounds, seed, h.served.Load())
	if !harness.Poll(30*time.Second, func() bool { return len(children(t, h.node)) == 2 }) {
		t.Errorf("processes are left: %v", children(t, h.node))
	}
}

// What is no plugin, or one that does not get as far as being called, is refused with
// a reason; beside it the node serves.
func TestHostileLoads(t *testing.T) {
	h := newHostileNode(t, 1000, mayStart)
	files := refusedFiles(t, h.so, h.module)
	writeFiles(t, h.dir, files)
	stop := h.keepAsking()
	for _, slow := range []string{"silent", "loops", "spins.so", "forks.so"} {
		if !soak() { // each takes as long as a start may
			delete(files, slow)
		}
	}
	for name := range files {
		began := time.Now()
		a := h.want(400, "POST", "/plugins/load", fmt.Sprintf(`{"library_path":%q,"grants":%s}`, name, h.grants))
		t.Logf("%s: %v: %.200s", name, time.Since(began).Round(time.Millisecond), a.body)
	}
	stop()
	if !harness.Poll(30*time.Second, func() bool { return len(children(t, h.node)) == 2 }) {
		t.Errorf("processes are left: %v", children(t, h.node))
	}
}
