// Package pfs holds the rules of the house: what ARCHITECTURE.md asks of the
// code and a machine can see. Each broken rule is one line of the answer.
package pfs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pfs-project/pfs"

// room is a package, or with "/*" at the end all packages in a folder, and
// what it may import: packages of ours and modules of others. "*" is anything
// on a lower floor and any module.
type room struct {
	path  string
	floor int
	may   []string
}

// Modules that several rooms use.
const (
	pebble   = "github.com/cockroachdb/pebble/v2"
	raft     = "github.com/hashicorp/raft"
	hclog    = "github.com/hashicorp/go-hclog"
	fasthttp = "github.com/valyala/fasthttp"
	aws      = "github.com/aws/aws-sdk-go-v2" // the client of S3
	blake3   = "github.com/zeebo/blake3"
	prom     = "github.com/prometheus" // all of its modules
)

// rooms are the floors of ARCHITECTURE.md, section 2.
var rooms = []room{
	{"vfs", 0, nil},
	{"examples", 0, nil},
	{"loopback", 0, nil},
	{"test/ports", 0, []string{"loopback"}},
	{"vfs/wire", 1, []string{"vfs"}},
	{"vfs/content", 1, []string{"vfs"}},
	{"vfs/tree", 1, []string{"vfs", "vfs/content"}},
	{"backup", 1, []string{"store", blake3}},
	{"volume", 1, []string{pebble}},
	{"store", 1, []string{"vfs", pebble, blake3}},
	{"blob", 1, []string{blake3, "golang.org/x/sys"}},
	{"client", 1, []string{"vfs"}},
	{"configs", 1, nil},
	{"secret", 1, []string{"vfs"}},
	{"trace", 1, nil},
	{"lapse", 1, nil},
	{"supervise", 1, []string{"vfs", "golang.org/x/sys"}},
	{"certs", 1, nil},
	{"sqldb", 1, []string{"vfs", "sqldb/sqldbtest", "github.com/go-sql-driver/mysql", "modernc.org/sqlite"}},
	{"sqldb/sqldbtest", 1, []string{"vfs"}},
	{"plugins/queuefs/early", 1, []string{"vfs"}},
	{"raftlog", 2, []string{raft, "github.com/hashicorp/raft-boltdb/v2", "go.etcd.io/bbolt", pebble, hclog}},
	{"plugins/*", 2, []string{"vfs", "vfs/content", "vfs/tree"}},
	{"plugins/sqlfs2", 2, []string{"vfs", "sqldb", "sqldb/sqldbtest"}},
	{"plugins/sqlfs", 2, []string{"vfs", "sqldb", "sqldb/sqldbtest"}},
	{"plugins/queuefs", 2, []string{"vfs", "plugins/queuefs/early", "sqldb", "sqldb/sqldbtest"}},
	{"plugins/s3fs", 2, []string{"vfs", aws, "github.com/aws/smithy-go"}},
	{"plugins/httpfs", 2, []string{"vfs", "github.com/yuin/goldmark", "github.com/microcosm-cc/bluemonday"}},
	{"plugins/proxyfs", 2, []string{"vfs", "client", "remote"}},
	{"vfs/vfstest", 2, []string{"vfs", "vfs/wire"}},
	{"ffi", 2, []string{"vfs", "vfs/wire", "supervise", "golang.org/x/sys"}},
	{"ffi/native", 2, []string{"vfs", "ffi", "supervise", "github.com/ebitengine/purego", "golang.org/x/sys"}},
	{"wasmhost", 2, []string{"vfs", "vfs/wire", "supervise", "github.com/tetratelabs/wazero"}},
	{"prochost", 2, []string{"vfs", "supervise", "github.com/santhosh-tekuri/jsonschema/v6"}},
	{"fsm", 2, []string{"vfs", "vfs/wire", "store", "secret", raft, "github.com/RaduBerinde/btreemap"}},
	{"devices", 2, []string{"vfs"}},
	{"remote", 2, []string{"vfs", "client"}},
	{"plugins", 3, []string{"vfs", "plugins/*"}},
	{"cluster", 3, []string{"vfs", "vfs/wire", "backup", "store", "blob", "volume", "raftlog", "secret", "trace", "lapse", "certs", "client", "devices", "remote", "fsm", raft, hclog, prom, blake3, "golang.org/x/sys"}},
	{"hosts", 3, []string{"vfs", "supervise", "ffi", "wasmhost", "prochost"}},
	{"api", 4, []string{"vfs", "backup", "secret", "remote", "trace", "lapse", "fsm", fasthttp, "github.com/fasthttp/router", prom, blake3, "github.com/zeebo/xxh3"}},
	{"api/apitest", 4, []string{"vfs", "vfs/wire", "store", "blob", "secret", "fsm", "plugins", "api", raft, pebble}},
	{"cli", 4, []string{"client", "vfs", "github.com/spf13/cobra", "github.com/schollz/progressbar/v3", "golang.org/x/term"}},
	{"cli/clitest", 5, []string{"cli", "api/apitest", "github.com/spf13/cobra"}},
	{"verbs", 5, []string{"client", "vfs", "cli", "github.com/spf13/cobra", "github.com/pmezard/go-difflib", "github.com/zeebo/xxh3"}},
	{"gateway/mcp", 5, []string{"vfs", "client", "github.com/modelcontextprotocol/go-sdk"}},
	{"bench", 5, []string{"client", "vfs", "loopback", "bench/child", "bench/load", "bench/target", "bench/plot", "github.com/HdrHistogram/hdrhistogram-go", fasthttp}},
	{"bench/child", 5, nil},
	{"bench/load", 5, []string{"github.com/HdrHistogram/hdrhistogram-go"}},
	{"bench/plot", 5, []string{"bench/load"}},
	{"bench/target", 5, nil},
	{"bench/standin", 5, nil},
	{"bench/peers", 5, []string{"bench", "bench/child", "bench/standin", "bench/target", "client", "loopback", aws, fasthttp, "github.com/nats-io/nats.go", "github.com/redis/go-redis/v9", "go.etcd.io/etcd/client/v3", "go.uber.org/zap", "google.golang.org/grpc"}},
	{"bench/calls", 5, []string{"vfs", "store", "plugins/memfs", pebble, blake3}},
	{"shell/text", 5, []string{"cli", "github.com/itchyny/gojq", "github.com/ncruces/go-strftime"}},
	{"shell", 6, []string{"client", "vfs", "cli", "verbs", "shell/text", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "github.com/reeflective/readline", "mvdan.cc/sh/v3"}},
	{"server", 6, []string{"*"}},
	{"cmd/*", 7, []string{"*"}},
	{"soak", 7, []string{"client", "soak/*", "test/*", "golang.org/x/sys"}},
	{"soak/history", 7, []string{"github.com/anishathalye/porcupine"}},
	{"soak/link", 7, nil},
	{"test", 7, []string{"*"}},
	{"test/*", 7, []string{"*"}},
	{"scripts/*", 7, []string{"*"}},
}

// house is all Go source under a folder.
type house struct {
	fset  *token.FileSet
	files []*source
	found []string
}

// source is one file.
type source struct {
	name  string // with slashes, relative to the root
	dir   string // of the package; "." at the root
	test  bool
	lines int
	tree  *ast.File
}

// report adds a broken rule.
func (h *house) report(pos token.Pos, format string, args ...any) {
	p := h.fset.Position(pos)
	h.found = append(h.found, fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...)))
}

// add parses a file.
func (h *house) add(name string, src []byte) error {
	tree, err := parser.ParseFile(h.fset, name, src, parser.ParseComments)
	if err != nil {
		return err
	}
	h.files = append(h.files, &source{
		name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(string(src), "\n"), tree: tree,
	})
	return nil
}

// openHouse reads all Go files under root, but no testdata, no other modules and
// no examples: those are what others start from, under rules of their own.
func openHouse(root string) (*house, error) {
	h := &house{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && rel != "." {
				return fs.SkipDir
			}
			if d.Name() == "testdata" || path.Dir(rel) == "examples" || len(d.Name()) > 1 && d.Name()[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return h.add(rel, src)
	})
	return h, err
}

// rules are all that a machine checks.
var rules = []struct {
	name  string
	check func(*house)
}{
	{"floors", (*house).floors},
	{"sizes", (*house).sizes},
	{"docs", (*house).docs},
	{"names", (*house).names},
	{"manners", (*house).manners},
	{"state", (*house).state},
	{"determinism", (*house).determinism},
}

func TestHouse(t *testing.T) {
	h, err := openHouse(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			h.found = nil
			rule.check(h)
			slices.Sort(h.found)
			for _, line := range h.found {
				t.Error(line)
			}
		})
	}
}

// roomOf finds the row of a package: its own, or that of its folder.
func roomOf(dir string) *room {
	folder := path.Dir(dir) + "/*"
	var found *room
	for i := range rooms {
		if rooms[i].path == dir {
			return &rooms[i]
		}
		if rooms[i].path == folder || strings.HasPrefix(dir, strings.TrimSuffix(rooms[i].path, "*")) && rooms[i].floor == 7 {
			found = &rooms[i]
		}
	}
	return found
}

// floors lets a package import only what its room may. Tests may import more.
func (h *house) floors() {
	for _, f := range h.files {
		if f.test || f.dir == "." {
			continue
		}
		r := roomOf(f.dir)
		if r == nil {
			h.report(f.tree.Package, "package %s has no floor in house_test.go", f.dir)
			continue
		}
		for _, imp := range f.tree.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if why := r.refuses(p); why != "" {
				h.report(imp.Pos(), "%s (floor %d) imports %s: %s", f.dir, r.floor, strings.TrimPrefix(p, module+"/"), why)
			}
		}
	}
}

// refuses says why the room may not import p; "" if it may.
func (r *room) refuses(p string) string {
	ours, inside := strings.CutPrefix(p, module+"/")
	if !inside {
		if !strings.Contains(strings.Split(p, "/")[0], ".") || r.lists(p) {
			return ""
		}
		return "not one of its modules"
	}
	below := roomOf(ours)
	switch {
	case below == nil:
		return "has no floor"
	case !r.lists(ours):
		return "not in its row"
	case below.floor < r.floor, below.floor == r.floor && !slices.Contains(r.may, "*"):
		return "" // rows name neighbours on one floor, as vfs/tree and vfs/content
	}
	return fmt.Sprintf("it is on floor %d", below.floor)
}

// lists reports whether the room's row names p, its module, or its folder.
func (r *room) lists(p string) bool {
	return slices.ContainsFunc(r.may, func(m string) bool {
		folder, all := strings.CutSuffix(m, "/*")
		return m == "*" || m == p || all && path.Dir(p) == folder ||
			strings.Contains(m, ".") && strings.HasPrefix(p, m+"/")
	})
}

// Rows go up, name rooms that exist, and never a room above.
func TestRooms(t *testing.T) {
	for i, r := range rooms {
		if i > 0 && r.floor < rooms[i-1].floor {
			t.Errorf("%s is out of order", r.path)
		}
		for _, m := range r.may {
			if strings.Contains(m, ".") || strings.Contains(m, "*") {
				continue
			}
			if o := roomOf(m); o == nil || o.floor > r.floor {
				t.Errorf("%s may not name %s", r.path, m)
			}
		}
	}
}

// The rules see what they are there to see.
func TestHouseCatches(t *testing.T) {
	for _, c := range []struct{ rule, file, src, want string }{
		{"floors", "vfs/x.go", `package vfs; import _ "github.com/pfs-project/pfs/store"`, "not in its row"},
		{"floors", "api/x.go", `package api; import _ "github.com/pfs-project/pfs/cluster"`, "not in its row"},
		{"floors", "vfs/x.go", `package vfs; import _ "github.com/hashicorp/raft"`, "not one of its modules"},
		{"floors", "server/x.go", `package server; import _ "github.com/pfs-project/pfs/cmd/pfs"`, "it is on floor 7"},
		{"floors", "attic/x.go", `package attic`, "no floor"},
		{"floors", "raftlog/x.go", `package raftlog; import _ "github.com/cockroachdb/pebble/v2/vfs"`, ""},
		{"floors", "plugins/x.go", `package plugins; import _ "github.com/pfs-project/pfs/plugins/memfs"`, ""},
		{"floors", "cmd/pfs/sub/x.go", `package sub; import _ "github.com/pfs-project/pfs/server"`, ""},
		{"sizes", "vfs/x.go", "package vfs\n" + strings.Repeat("\n", 500), "501 lines"},
		{"sizes", "vfs/x.go", "package vfs\nfunc f() {" + strings.Repeat("\n", 80) + "}", "81 lines"},
		{"sizes", "vfs/x.go", "package vfs; type i interface { a(); b(); c(); d(); e(); f(); g() }", "7 methods"},
		{"sizes", "vfs/x.go", "package vfs; func f(n int) { switch n { " + strings.Repeat("case 1:\n", 11) + "} }", "11 cases"},
		{"docs", "vfs/x.go", "package vfs", "no package comment"},
		{"docs", "vfs/x.go", "// Package vfs.\npackage vfs; func F() {}", "F has no comment"},
		{"docs", "vfs/x.go", "// Package vfs.\npackage vfs; type t int; func (t) F() {}", ""},
		{"docs", "vfs/x.go", "// Package vfs.\npackage vfs; const (\nA = 1 // one\nB = 2\n)", "B has no comment"},
		{"names", "vfs/util.go", "package vfs", "file name util"},
		{"names", "vfs/x.go", "package vfs; type fileManager int", "type fileManager"},
		{"names", "vfs/x.go", "package common", "package name common"},
		{"manners", "vfs/x.go", "package vfs; func init() {}", "init function"},
		{"manners", "vfs/x.go", "package vfs // TO" + "DO: later", "unfinished"},
		{"manners", "vfs/x_test.go", `package vfs; import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
		{"manners", "vfs/x_test.go", `package vfs; import "time"; func f() { for { time.Sleep(1) } }`, ""},
		{"manners", "vfs/x_test.go", `package vfs; import ("time"; "testing/synctest"); func f() { time.Sleep(1); synctest.Wait() }`, ""},
		{"manners", "vfs/x_test.go", `package vfs; import "testing"; func f(t *testing.T) { t.Skip() }`, "skips"},
		{"state", "vfs/x.go", "package vfs; var n int", "package-level variable n"},
		{"state", "vfs/x.go", "package vfs; var n = 1; func f() { n++ }", "n is changed"},
		{"state", "vfs/x.go", "package vfs; var m = map[int]int{}; func f() { m[1] = 2 }", "m is changed"},
		{"state", "vfs/x.go", "package vfs; var m = make(map[int]int)", "package-level variable m"},
		{"state", "vfs/x.go", `package vfs; import "errors"; var e = errors.New("e"); func f() { e := e; e = nil; _ = e }`, ""},
		{"state", "vfs/x.go", "package vfs; var _ interface{} = nil; var t = [...]string{1: \"\"}", ""},
		{"determinism", "vfs/x.go", `package vfs; import "os"`, "imports os"},
		{"determinism", "vfs/x.go", `package vfs; import "time"; var _ = time.Now()`, "time.Now"},
		{"determinism", "vfs/x.go", `package vfs; func f() { go f() }`, "goroutine"},
		{"determinism", "vfs/x.go", "package vfs; func f(m map[int]int) { for range m {} }", "order of a map"},
		{"determinism", "vfs/x.go", "package vfs; type c map[int]int; func (m c) f() { for range m {} }", "order of a map"},
		{"determinism", "vfs/x.go", "package vfs; type c struct{ m map[int]int }; func (x c) f() { for range x.m {} }", "order of a map"},
		{"determinism", "vfs/x.go", "package vfs; func f() { m := make(map[int]int)\nfor range m { // any order\n} }", ""},
		{"determinism", "vfs/x.go", `package vfs; import "sort"; func f(m map[string]int) { var k []string; for n := range m { k = append(k, n) }; sort.Strings(k) }`, ""},
		{"determinism", "bench/x.go", `package bench; import "os"`, ""},
	} {
		h := &house{fset: token.NewFileSet()}
		if err := h.add(c.file, []byte(c.src)); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(rules, func(r struct {
			name  string
			check func(*house)
		}) bool {
			return r.name == c.rule
		})
		rules[i].check(h)
		if got := strings.Join(h.found, "; "); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s of %q: got %q, want %q", c.rule, c.src, got, c.want)
		}
	}
}
