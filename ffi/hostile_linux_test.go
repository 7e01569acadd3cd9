package ffi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// all reads a file as a client does.
func all(t *testing.T, f *FS, p vfs.Path) (string, error) {
	b := make([]byte, 100)
	n, err := f.ReadAt(t.Context(), nil, p, b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(b[:n]), err
}

// patient are the limits of a mount that does nothing wrong: a busy machine is no
// reason to give its calls up.
var patient = vfs.Limits{Call: 8 * time.Second, Memory: 64 << 20, Instances: 2}

// mayStart is what a library is granted that leaves processes behind.
var mayStart = vfs.Grants{Processes: true}

// A wrong answer is kept back.
func TestKeptBack(t *testing.T) {
	t.Parallel()
	f := mount(t, plugin(t, newHost(t), trap(t, "hostile"), patient, 0), nil)
	began := time.Now()
	if _, err := f.List(t.Context(), nil, "/list/slash", "", 0); vfs.KindOf(err) != vfs.Crashed || time.Since(began) < supervise.Moment {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// What a plugin does to its process ends the process, not the mount, and nothing
// of another mount of it.
func TestCrashes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	code := trap(t, "hostile")
	p := granted(t, h, code, vfs.Limits{Call: 5 * time.Second, Memory: 64 << 20, Instances: 2}, 0, mayStart)
	other := mount(t, plugin(t, h, code, patient, 0), nil)
	for path, want := range map[vfs.Path]struct {
		kind vfs.Kind
		text string
	}{
		"/segv": {vfs.Crashed, "signal: segmentation fault"}, "/abort": {vfs.Crashed, "signal: "}, "/exit": {vfs.Crashed, "exit status 3"},
		"/_exit": {vfs.Crashed, "exit status 0"}, "/stack": {vfs.Crashed, ""}, "/twice": {vfs.Crashed, "double free"},
		"/huge": {vfs.Crashed, ""}, "/hangup": {vfs.Crashed, ""},
		"/bell": {vfs.Crashed, "no answer"}, "/bells": {vfs.Crashed, ""}, "/forge": {vfs.Crashed, ""},
		"/forge2": {vfs.Crashed, ""}, "/fork": {vfs.Crashed, "exit status 4"}, "/wild": {vfs.Crashed, "signal: segmentation fault"}, "/low": {vfs.Crashed, "signal: segmentation fault"},
		"/loop": {vfs.Timeout, "did not answer in time"}, "/bomb": {vfs.Timeout, "did not answer in time"}, "/threads": {vfs.Timeout, "did not answer in time"}, "/trickle": {vfs.Timeout, "did not answer in time"},
	} {
		t.Run(string(path[1:]), func(t *testing.T) {
			f := mount(t, p, nil)
			_, err := all(t, f, path)
			// The limit of processes may end the bomb's own process first.
			bombed := path == "/bomb" && vfs.KindOf(err) == vfs.Crashed
			if !bombed && (vfs.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text)) {
				t.Errorf("%v", err)
			}
			if s, err := all(t, other, "/f"); s != "fine." || err != nil {
				t.Errorf("another mount: %q, %v", s, err)
			}
			if s, err := all(t, f, "/f"); s != "fine." || err != nil { // it waits for the next process
				t.Errorf("afterwards: %q, %v", s, err)
			}
		})
	}
}

// A library may write to the memory that calls cross in at any time, give it back,
// and ring before there is an answer: that is wrong answers, for its own callers.
func TestScribbles(t *testing.T) {
	h := newHost(t)
	code := trap(t, "hostile")
	p, calm := plugin(t, h, code, vfs.Limits{Call: 2 * time.Second, Instances: 2}, 0), plugin(t, h, code, patient, 0)
	other := mount(t, calm, nil)
	for _, path := range []vfs.Path{"/shrink", "/punch"} {
		f := mount(t, calm, nil)
		for range 2 {
			if s, err := all(t, f, path); s != "fine." || err != nil {
				t.Errorf("%s: %q, %v", path, s, err)
			}
		}
	}
	for _, path := range []vfs.Path{"/later", "/scribble"} {
		f := mount(t, p, nil)
		_, _ = all(t, f, path)
		for n := range 200 {
			switch n % 4 { // any answer will do, but what is checked of each
			case 0:
				_, _ = all(t, f, "/f")
			case 1:
				if i, err := f.Stat(t.Context(), nil, "/f"); err == nil && (i.Name != "f" || i.Size < 0) {
					t.Errorf("%+v", i)
				}
			case 2:
				infos, err := f.List(t.Context(), nil, "/list/fine", "", 0)
				if err == nil && !slices.IsSortedFunc(infos, func(a, b vfs.Info) int { return strings.Compare(a.Name, b.Name) }) {
					t.Errorf("%+v", infos)
				}
			case 3:
				if r, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/f", Flag: replace, Data: make([]byte, 3<<20)}); r.N < 0 || r.N > 3<<20 {
					t.Errorf("%d, %v", r.N, err)
				}
			}
		}
		if s, err := all(t, other, "/f"); s != "fine." || err != nil {
			t.Errorf("another mount: %q, %v", s, err)
		}
	}
}

// Rounds of what plugins must not do, at random, leave a mount beside them alone.
// PFS_SOAK=1 makes it a thousand, or as many as there is time for.
func TestRounds(t *testing.T) {
	t.Parallel()
	rounds := 20
	if os.Getenv("PFS_SOAK") != "" {
		rounds = 1000
	}
	h := newHost(t)
	code := trap(t, "hostile")
	p := granted(t, h, code, vfs.Limits{Call: 2 * time.Second, Memory: 64 << 20}, 0, mayStart)
	other := mount(t, plugin(t, h, code, patient, 0), nil)
	traps := []vfs.Path{"/segv", "/abort", "/exit", "/_exit", "/stack", "/twice", "/huge", "/hangup", "/bell", "/bells", "/forge", "/forge2",
		"/fork", "/bomb", "/threads", "/trickle", "/wild", "/low", "/loop", "/long", "/endless", "/list/wild", "/list/more", "/list/many", "/stat/wild", "/stat/name"}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	last, limited := t.Deadline()
	for n := range rounds {
		if limited && time.Until(last) < 30*time.Second {
			t.Logf("%d rounds", n)
			break
		}
		path := traps[random.IntN(len(traps))]
		fs, err := p.New(vfs.Env{Mount: "/r", Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*FS)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(3) {
			_, err = all(t, f, path)
			if strings.HasPrefix(string(path), "/list") {
				_, err = f.List(t.Context(), nil, path, "", 0)
			}
			if k := vfs.KindOf(err); path != "/list/more" && k != vfs.Crashed && k != vfs.Timeout && k != vfs.Unavailable {
				t.Errorf("round %d: %s: %v", n, path, err)
			}
			if s, err := all(t, other, "/f"); s != "fine." || err != nil {
				t.Fatalf("round %d: %s: another mount: %q, %v", n, path, s, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A plugin that crashes again and again is left alone, and the mount says why.
func TestBreaksOff(t *testing.T) {
	t.Parallel()
	f := mount(t, plugin(t, newHost(t), trap(t, "hostile"), vfs.Limits{}, 0), nil)
	for range 100 {
		_, err := all(t, f, "/abort")
		if vfs.KindOf(err) == vfs.Unavailable && strings.Contains(err.Error(), "left alone") && strings.Contains(err.Error(), "signal: ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("it is started again for ever")
}

// What a plugin answers is not believed.
func TestAnswers(t *testing.T) {
	f := mount(t, plugin(t, newHost(t), trap(t, "hostile"), vfs.Limits{}, 0), nil)
	for path, want := range map[vfs.Path]string{
		"/f": "fine.", "/null": "", "/wide": "fine.", "/whole": "/whole", "/print": "fine.",
		"/minus": "not_found", "/minus2": "internal", "/long": "plugin_crashed", "/endless": "plugin_crashed", "/none": "not_found",
	} {
		s, err := all(t, f, path)
		if err != nil {
			s = vfs.KindOf(err).Code()
		}
		if s != want {
			t.Errorf("read %s: %q %v, want %q", path, s, err, want)
		}
	}
	if b := make([]byte, 3); true {
		if n, err := f.ReadAt(t.Context(), nil, "/whole", b, 2); n != 3 || string(b) != "hol" || err != nil {
			t.Errorf("a part of what ignores the offset: %q, %v", b[:n], err)
		}
	}
	for path, want := range map[vfs.Path]string{
		"/list/fine": "a b c", "/list/empty": "", "/list/minus": "internal", "/list/minus2": "internal",
		"/list/null": "plugin_crashed", "/list/items": "plugin_crashed", "/list/many": "plugin_crashed",
		"/list/name": "plugin_crashed", "/list/slash": "plugin_crashed", "/list/dots": "plugin_crashed", "/list/bytes": "plugin_crashed",
		"/list/twice": "plugin_crashed", "/list/size": "plugin_crashed", "/none": "not_found", "/f": "not_directory",
	} {
		infos, err := f.List(t.Context(), nil, path, "", 0)
		var names []string
		for _, i := range infos {
			names = append(names, i.Name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = vfs.KindOf(err).Code()
		}
		if got != want {
			t.Errorf("list %s: %q %v, want %q", path, got, err, want)
		}
	}
	for path, want := range map[vfs.Path]string{
		"/f": "f 5 644 map[]", "/stat/size": "plugin_crashed", "/stat/meta": "meta 5 644 map[a:b c:1]", "/stat/broken": "broken 5 644 map[]",
		"/stat/text": "plugin_crashed", "/none": "not_found",
	} {
		i, err := f.Stat(t.Context(), nil, path)
		got := fmt.Sprintf("%s %d %o %v", i.Name, i.Size, i.Mode, i.Meta.Content)
		if err != nil {
			got = vfs.KindOf(err).Code()
		}
		if got != want {
			t.Errorf("stat %s: %q %v, want %q", path, got, err, want)
		}
	}
	long, err := f.List(t.Context(), nil, "/list/long", "", 0) // longer than its window
	if err != nil || len(long) != 20_000 || long[19_999].Name != fmt.Sprintf("%0150d", 19_999) {
		t.Errorf("a long list: %d, %v", len(long), err)
	}
	if i, err := f.Stat(t.Context(), nil, "/stat/time"); err != nil || i.ModTime.Year() < 1 || i.ModTime.Year() > 9999 {
		t.Errorf("%v %v", i.ModTime, err)
	}
}

// What FSWrite answers tells its generation, unless the load does.
func TestWrites(t *testing.T) {
	code := trap(t, "hostile")
	h := newHost(t)
	for abi, all := range map[int]map[vfs.Path]vfs.Kind{
		0: {"/f": 0, "/minus": vfs.Internal, "/short": vfs.Internal, "/more": vfs.Crashed, "/text": vfs.Permission, "/nothing": 0},
		2: {"/f": 0, "/minus": vfs.Internal, "/short": vfs.Internal, "/more": vfs.Crashed, "/text": vfs.Crashed, "/nothing": vfs.Internal, "/wild": vfs.Crashed},
		1: {"/text": vfs.Permission, "/nothing": 0, "/wild": vfs.Crashed},
	} {
		p := plugin(t, h, code, vfs.Limits{}, abi)
		for path, want := range all {
			f := mount(t, p, nil)
			r, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: path, Flag: replace, Data: []byte("data")})
			if vfs.KindOf(err) != want || want == 0 && r.N != 4 {
				t.Errorf("abi %d: %s: %d, %v", abi, path, r.N, err)
			}
		}
		f := mount(t, p, nil)
		if _, err := f.Do(t.Context(), vfs.Op{Verb: vfs.Write, Path: "/nothing", Flag: replace}); err != nil && abi != 1 {
			t.Errorf("abi %d: no bytes: %v", abi, err)
		}
	}
}

// What no library is, or does not get as far as being called, is refused with a
// reason, and costs the node nothing.
func TestLoads(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.start = 6 * time.Second
	whole := trap(t, "hostile")
	arch := bytes.Clone(whole)
	binary.LittleEndian.PutUint16(arch[18:], 8) // MIPS
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program+".c", []byte("int main(void){return 0;}"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, ".", "cc", "-o", program, program+".c")
	for name, c := range map[string]struct {
		code []byte
		want string
	}{
		"no bytes": {nil, ""}, "magic": {whole[:4], ""}, "head": {whole[:64], ""}, "two pages": {whole[:8192], ""}, "arch": {arch, "MIPS"}, "program": {read(t, program), ""}, "text": {[]byte("#!/bin/sh\n"), ""},
		"exits":      {trap(t, "hostile", "-DCONSTRUCTOR=exit(7)"), "exit status 7"},
		"aborts":     {trap(t, "hostile", "-DCONSTRUCTOR=abort()"), "signal: "},
		"faults":     {trap(t, "hostile", "-DCONSTRUCTOR=*(volatile int*)8=1"), "segmentation fault"},
		"sleeps":     {trap(t, "hostile", "-DCONSTRUCTOR=sleep(600)"), "in time"},
		"spins":      {trap(t, "hostile", "-DCONSTRUCTOR=for(;;)"), "in time"},
		"no symbol":  {trap(t, "hostile", "-DMISSING"), "not_there"},
		"no new":     {trap(t, "hostile", "-DNO_NEW"), "plugin missing required PluginNew function"},
		"new null":   {trap(t, "hostile", "-DNEW=return NULL"), "PluginNew returned null pointer"},
		"new faults": {trap(t, "hostile", "-DNEW=abort()"), "signal: "},
		"name":       {trap(t, "hostile", `-DNAME="`+strings.Repeat("n", 65)+`"`), "64 bytes"},
		"wild name":  {trap(t, "hostile", "-DNAME=(char*)1"), "segmentation fault"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Inspect(t.Context(), c.code, vfs.Limits{}, vfs.Grants{})
			if vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for n := range 40 { // what the linker does not need may be missing
		if _, err := h.Inspect(t.Context(), whole[:len(whole)*n/40], vfs.Limits{}, vfs.Grants{}); err != nil && vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%d of 40: %v", n, err)
		}
	}
	// As the first of its process ids it may even outlive that; nobody else does.
	if _, err := h.Inspect(t.Context(), trap(t, "hostile", "-DCONSTRUCTOR=kill(0,SIGKILL)"), vfs.Limits{}, vfs.Grants{}); err != nil && vfs.KindOf(err) != vfs.Invalid {
		t.Errorf("kills: %v", err)
	}
	if lib, err := h.Inspect(t.Context(), trap(t, "hostile", "-DNAME=NULL"), vfs.Limits{}, vfs.Grants{}); err != nil || lib.Name != "native-plugin" {
		t.Errorf("%q %v", lib.Name, err)
	}
	for _, l := range []vfs.Limits{{Memory: 1}, {Memory: 1 << 50}, {Call: time.Hour}, {Instances: 65}, {Instances: -1}} {
		if _, err := h.Inspect(t.Context(), whole, l, vfs.Grants{}); vfs.KindOf(err) != vfs.Invalid {
			t.Errorf("%+v: %v", l, err)
		}
	}
	none, _ := New(filepath.Join(t.TempDir(), "none"), nil)
	if _, err := none.Inspect(t.Context(), whole, vfs.Limits{}, vfs.Grants{}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("without the program: %v", err)
	}
}

// Settings that a plugin refuses keep the mount from starting, with its words.
func TestRefusesSettings(t *testing.T) {
	p := plugin(t, newHost(t), trap(t, "hostile", `-DINITIALIZE=return "no colour given"`), vfs.Limits{}, 0)
	fs, err := p.New(vfs.Env{Mount: "/m", Log: newHost(t).log}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.(*FS)
	defer f.Close()
	if err := f.Start(t.Context()); vfs.KindOf(err) != vfs.Invalid || !strings.Contains(err.Error(), "no colour given") {
		t.Error(err)
	}
}

// Callers get their own bytes, no more of them are inside at once than the limits
// say, and one that gives up does not let another in.
func TestConcurrent(t *testing.T) {
	h, code := newHost(t), trap(t, "hostile")
	for _, many := range []int{1, 4} {
		f := mount(t, plugin(t, h, code, vfs.Limits{Instances: many}, 0), nil)
		var callers sync.WaitGroup
		left := make(chan []byte, 16*20)
		for n := range 16 {
			callers.Go(func() {
				for k := range 20 {
					path := vfs.Path(fmt.Sprintf("/echo/%d/%d", n, k))
					if k%4 == 3 { // the plugin takes longer than that
						ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
						b := make([]byte, 100)
						if _, err := f.ReadAt(ctx, nil, path, b, 0); err != io.EOF {
							left <- b
						}
						cancel()
						continue
					}
					for {
						got, err := all(t, f, path)
						if vfs.KindOf(err) == vfs.Throttled {
							continue
						}
						if got != string(path) || err != nil {
							t.Errorf("%s: %q, %v", path, got, err)
						}
						break
					}
				}
			})
		}
		callers.Wait()
		close(left)
		most, err := all(t, f, "/most")
		for b := range left {
			if !bytes.Equal(b, make([]byte, 100)) {
				t.Errorf("written to after its call was over: %q", b)
			}
		}
		if want := fmt.Sprintf("%05d", many); err != nil || most > want || many == 1 && most != want {
			t.Errorf("%s calls at once, of %d: %v", most, many, err)
		}
	}
}

// said is a log that a test looks at.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// A mount that ends shuts its instance down and frees it, once. Without
// PluginShutdown nothing is freed, as published hosts have it.
func TestEnds(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		flag        string
		down, freed int
	}{{"-DENDS=NULL", 1, 1}, {`-DENDS="it cannot"`, 1, 1}, {"-DENDLESS", 0, 0}} {
		var log said
		p := plugin(t, h, trap(t, "hostile", c.flag), vfs.Limits{}, 0)
		fs, err := p.New(vfs.Env{Mount: "/m", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fs.(*FS)
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, err := all(t, f, "/f"); s != "fine." || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		for limit := time.Now().Add(20 * time.Second); log.count("it is freed") < c.freed && time.Now().Before(limit); {
			time.Sleep(10 * time.Millisecond) // its pipe is read beside it
		}
		if down, freed := log.count("it shuts down"), log.count("it is freed"); down != c.down || freed != c.freed {
			t.Errorf("%s: shut down %d times, freed %d times", c.flag, down, freed)
		}
	}
}
