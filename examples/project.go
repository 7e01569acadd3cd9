package examples

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Language is one in which a plugin can be begun.
type Language struct {
	Name  string // as it is asked for: "c", "wasm-go"
	Title string // for people
	Needs string // what must be installed to build one
	Main  string // the file to change, with * for the name of the plugin
	Rest  string // what the other files are
	Built string // what make makes, with * for the name; LIB is the suffix of native libraries

	dir   string            // where its examples are
	types map[string]string // its examples, and what each calls itself
	gomod bool
}

// Languages returns all of them that there are examples of.
func Languages() []Language {
	return slices.DeleteFunc(languages(), func(l Language) bool {
		_, err := fs.Stat(Files, l.dir)
		return err != nil
	})
}

func languages() []Language {
	return []Language{
		{
			Name: "c", Title: "C", Needs: "make and a C compiler", Main: "*.c", Rest: "`plugin.h` is the ABI with its rules.",
			Built: "build/*.LIB", dir: "c-native", types: map[string]string{"hello": "hellofs-c", "memory": "memory-c"},
		},
		{
			Name: "rust", Title: "Rust", Needs: "make and rustc", Main: "*.rs", Rest: "It needs no crate.",
			Built: "build/*.LIB", dir: "rust-native", types: map[string]string{"words": "words-rust"},
		},
		{
			Name: "wasm-go", Title: "Go, for WebAssembly", Needs: "make and Go 1.26", Main: "*/main.go", Rest: "Package `guest` has the functions of the ABI.",
			Built: "build/*.wasm", dir: "go-wasm", gomod: true,
			types: map[string]string{"hello": "hellofs-go", "memory": "memory-go", "tee": "tee-go"},
		},
		{
			Name: "wasi-go", Title: "Go, as a WASI program that speaks MessagePack", Needs: "make and Go 1.26",
			Main: "*/main.go", Rest: "Package `plugin` has the protocol.",
			Built: "build/*.wasm", dir: "go-wasi", gomod: true,
			types: map[string]string{"hello": "hellofs-wasi", "memory": "memory-wasi"},
		},
		{
			Name: "wasm-c", Title: "C, for WebAssembly", Needs: "make, clang and wasm-ld", Main: "*.c",
			Rest:  "`pfs_plugin.h` has the functions of the ABI, `pfs_plugin.c` what there is of a C library.",
			Built: "build/*.wasm", dir: "c-wasm", types: map[string]string{"hello": "hellofs-c-wasm", "memory": "memory-c-wasm"},
		},
		{
			Name: "wasm-rust", Title: "Rust, for WebAssembly", Needs: "make, and rustc with the target wasm32-unknown-unknown", Main: "*.rs",
			Rest: "`guest.rs` has the functions of the ABI; it needs no crate.", Built: "build/*.wasm", dir: "rust-wasm",
			types: map[string]string{"hello": "hellofs-rust-wasm", "memory": "memory-rust-wasm"},
		},
		{
			Name: "go", Title: "Go, as a program that speaks HTTP", Needs: "make and Go 1.26", Main: "*/main.go", Rest: "Package `plugin` has the life of the program and its HTTP.",
			Built: "build/*", dir: "go-http", gomod: true,
			types: map[string]string{"hello": "hellofs-http", "memory": "memory-http", "upper": "upper"},
		},
		{
			Name: "python", Title: "Python, as a program that speaks MessagePack", Needs: "make and Python 3", Main: "*.py", Rest: "`pfsplugin.py` has the protocol.",
			Built: "build/*.pyz", dir: "python-msgpack", types: map[string]string{"hello": "hellofs-py", "memory": "memory-py"},
		},
	}
}

// Examples returns the names of the plugins that a project can begin as, the
// smallest first.
func (l Language) Examples() []string { return slices.Sorted(maps.Keys(l.types)) }

// goVersion is that of the modules; it is the oldest that the sources are known
// to build with.
const goVersion = "1.26.0"

// The names that a plugin may have, as a type, as a file and as a package.
var (
	names    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,40}$`)
	reserved = []string{"build", "vendor", "testdata", "internal"}
)

// Project returns the files of a new project by their paths: one of the examples
// under the name that it is given. The error says what is wrong with the name or
// the example.
func (l Language) Project(example, name string) (map[string]string, error) {
	own, ok := l.types[example]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no example %q in %s: take one of %s", example, l.Title, strings.Join(l.Examples(), ", "))
	case !names.MatchString(name):
		return nil, fmt.Errorf("%q cannot be the name of a plugin: it is a small letter, then at most 40 small letters, digits, - and _", name)
	case slices.Contains(reserved, name):
		return nil, fmt.Errorf("%q cannot be the name of a plugin: it is a directory of its tools", name)
	}
	module := "example.com/" + name
	files := map[string]string{"README.md": l.readme(name), ".gitignore": "/build/\n/pfs-data/\n__pycache__/\n"}
	if l.gomod {
		files["go.mod"] = "module " + module + "\n\ngo " + goVersion + "\n"
	}
	err := fs.WalkDir(Files, l.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := strings.TrimPrefix(p, l.dir+"/")
		stem, rest := split(to)
		_, isPlugin := l.types[stem]
		switch {
		case to == "README.md" || isPlugin && stem != example:
			return nil
		case isPlugin:
			to = name + rest
		case stem == name:
			return fmt.Errorf("%q cannot be the name of a plugin: a file beside it has that", name)
		}
		text, err := fs.ReadFile(Files, p)
		if err != nil {
			return err
		}
		files[to] = strings.ReplaceAll(l.named(to, string(text), name), "github.com/pfs-project/pfs/examples/"+l.dir, module)
		if isPlugin {
			called := regexp.MustCompile(`\b` + own + `\b`)
			if !called.MatchString(files[to]) {
				return fmt.Errorf("%s does not call itself %s", p, own)
			}
			files[to] = called.ReplaceAllLiteralString(files[to], name)
		}
		return nil
	})
	return files, err
}

// split cuts a path behind the name of a plugin: "hello.c", "hello/main.go".
func split(p string) (stem, rest string) {
	if i := strings.IndexAny(p, "/."); i > 0 {
		return p[:i], p[i:]
	}
	return p, ""
}

// plugins is the line of a Makefile that says what it builds.
var plugins = regexp.MustCompile(`(?m)^PLUGINS +:?=.*$`)

// named has a Makefile build what the project has.
func (l Language) named(to, text, name string) string {
	if path.Base(to) != "Makefile" {
		return text
	}
	return plugins.ReplaceAllLiteralString(text, "PLUGINS := "+name)
}

// readme is the page of a project.
func (l Language) readme(name string) string {
	built := l.Output(name, "so")
	load := strings.TrimPrefix(built, "build/")
	return strings.NewReplacer("NAME", name, "TITLE", l.Title, "NEEDS", l.Needs, "BUILT", built, "LOAD", load, "REST", l.Rest,
		"MAIN", strings.ReplaceAll(l.Main, "*", name)).Replace(page)
}

// Output returns what make makes of a project. suffix is that of native libraries
// on the machine, without the dot.
func (l Language) Output(name, suffix string) string {
	return strings.NewReplacer("*", name, "LIB", suffix).Replace(l.Built)
}

const page = "# NAME\n" + `
A plugin for PFS in TITLE. ` + "`MAIN`" + ` is the plugin: change it. REST

    make                      # BUILT; needs NEEDS
    pfs plugin test BUILT     # holds it to the laws of file systems
    pfs plugin bench BUILT    # what a call costs

## Mount it

A server loads plugins from its plugin directory:

    printf 'external_plugins: {enabled: true, plugin_dir: build}\n' >node.yaml
    pfs server -c node.yaml &
    until curl -fs 127.0.0.1:8080/api/v1/ready >/dev/null; do sleep 0.1; done
    pfs plugin load LOAD
    pfs mount NAME /NAME
    pfs ls /NAME

Load it again after a change: its mounts start anew with the new code.
The manual of PFS has the rules in docs/plugins/external.md.
`
