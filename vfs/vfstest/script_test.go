package vfstest

import (
	"context"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// fixed is a Driver that always answers the same.
type fixed struct {
	ops  []vfs.Op
	text string
	err  error
	info vfs.Info
}

func (f *fixed) Do(_ context.Context, op vfs.Op) (vfs.Result, error) {
	f.ops = append(f.ops, op)
	return vfs.Result{N: int64(len(op.Data))}, f.err
}

func (f *fixed) Read(_ context.Context, _ vfs.Path, off, size int64) ([]byte, error) {
	b := f.text[min(off, int64(len(f.text))):]
	if size >= 0 {
		b = b[:min(size, int64(len(b)))]
	}
	return []byte(b), f.err
}

func (f *fixed) Consume(context.Context, vfs.Op) ([]byte, error) {
	return []byte("taken"), f.err
}
func (f *fixed) Stat(context.Context, vfs.Path) (vfs.Info, error) { return f.info, f.err }
func (f *fixed) List(context.Context, vfs.Path) ([]vfs.Info, error) {
	return []vfs.Info{{Name: "a", Mode: vfs.ModeDir}, {Name: "b c"}}, f.err
}
func (f *fixed) Readlink(context.Context, vfs.Path) (string, error) { return "to", f.err }

func TestScriptAnswers(t *testing.T) {
	text := `{"id":"01-a","at":"2026-01-02T03:04:05Z","n":3}` + "\n\xff"
	for line, want := range map[string]string{ // what is wrong; "" for nothing
		`read /f -> "{\"id\":\"01-a\",\"at\":\"2026-01-02T03:04:05Z\",\"n\":3}\n\xff"`: "",
		`read /f -> ~ \{"id":"[^"]+".*\}\n.+`:                                          "",
		`read /f -> ~ \{"id"`:                                                          "answered",
		`read /f size=11 -> "{\"id\":\"<id>"`:                                          "",
		`read /f size=11 -> "{\"id\":\"<time>"`:                                        "answered",
		`read /f off=17 size=22 -> ":\"<time>"`:                                        "",
		`read /f off=41 size=6 -> "\",\"n\":"`:                                         "answered",
		`read /f off=45 size=1 -> "<n>"`:                                               "",
		`read /f off=99 -> ""`:                                                         "",
		`read /f off=99 ->`:                                                            "answered",
		`read /f off=99 -> ok`:                                                         "answered",
		"read /f off=45 size=1 -> `3`":                                                 "",
		`read /f off=x -> "3"`:                                                         "script: off=x",
		`read /f by=3 -> "3"`:                                                          "script: by=3",
		`read /f -> ~ (`:                                                               "script:",
		`read /f -> "\q"`:                                                              "script:",
		`ls / -> a/ "b c"`:                                                             "",
		`ls / -> a "b c"`:                                                              "answered a/",
		`ls / -> ~ a/ .*`:                                                              "",
		`stat /f -> file 0 0`:                                                          "",
		`readlink /f -> "to"`:                                                          "",
		`readlink /f -> to`:                                                            "answered",
		`consume /f -> "taken"`:                                                        "",
		`write /f "x -> y" -> 6`:                                                       "",
		`write /f "abc" -> <n>`:                                                        "",
		`write /f "abc" -> 4`:                                                          "answered 3, expected 4",
		`write /f "abc" at=x -> 3`:                                                     "script: at=x",
		`write /f "abc" fast -> 3`:                                                     "script: unknown flag",
		`write /f "abc -> 3`:                                                           "script: unclosed",
		`write /f "a\q" -> 3`:                                                          "script:",
		`mkdir /d 9 -> ok`:                                                             "script: mode",
		`mkdir /d not_found`:                                                           "script: no arrow",
		`mkdir -> ok`:                                                                  "script: unknown verb",
		`make /d -> ok`:                                                                "script: unknown verb",
		`rm -f /d -> ok`:                                                               "script: rm",
		`truncate /f x -> ok`:                                                          "script: size",
		` -> ok`:                                                                       "script: no verb",
		"mkdir \"\x00\" -> invalid":                                                    "",
		`mkdir "/a\\b" -> invalid`:                                                     "",
		`mv /a "/a\\b" -> invalid`:                                                     "",
		`ls "/a\\b" -> invalid`:                                                        "",
	} {
		wrong := Play(t.Context(), line, &fixed{text: text})
		switch {
		case want == "" && wrong != nil:
			t.Errorf("%v", wrong)
		case want != "" && (len(wrong) != 1 || !strings.Contains(wrong[0].Error(), want)):
			t.Errorf("%s: found %v, expected %q", line, wrong, want)
		}
	}
}

func TestScriptErrors(t *testing.T) {
	text := "# comment\n\nread /f -> not_found\nls /f -> not_found\nrm /f -> ok\nrm /f -> exists\n"
	wrong := Play(t.Context(), text, &fixed{err: vfs.NotFound.With("gone")})
	if len(wrong) != 2 || !strings.HasPrefix(wrong[0].Error(), "5: answered not_found (gone), expected ok") ||
		!strings.HasPrefix(wrong[1].Error(), "6:") {
		t.Errorf("%v", wrong)
	}
	if wrong := Play(t.Context(), "# nothing\n", &fixed{}); len(wrong) != 1 {
		t.Errorf("an empty script: %v", wrong)
	}
}

// TestScriptOps checks what each verb asks its Driver for.
func TestScriptOps(t *testing.T) {
	create := vfs.FlagCreate
	for line, want := range map[string]vfs.Op{
		`write /f "x" -> 1`:             {Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: create | vfs.FlagTruncate},
		`write /f "x" append -> 1`:      {Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: create | vfs.FlagAppend, Off: vfs.AtEnd},
		`write /f "x" at=7 excl -> 1`:   {Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: create | vfs.FlagExclusive, Off: 7},
		`write /f/../g "x" notrunc ->1`: {},
		`write f "x" notrunc -> 1`:      {Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: create},
		`write /f "x" b=2 a=1 -> 1`:     {Verb: vfs.Write, Path: "/f", Data: []byte("x"), Flag: create | vfs.FlagTruncate, Target: "a=1\nb=2"},
		`chmod /f 4755 -> ok`:           {Verb: vfs.Chmod, Path: "/f", Mode: 0o4755},
		`rm -r /d -> ok`:                {Verb: vfs.RemoveAll, Path: "/d"},
		`rm /d -> ok`:                   {Verb: vfs.Remove, Path: "/d"},
		`mv /a /b -> ok`:                {Verb: vfs.Rename, Path: "/a", To: "/b"},
		`ln a/b /l -> ok`:               {Verb: vfs.Symlink, Path: "/l", Target: "a/b"},
		`truncate /f 9 -> ok`:           {Verb: vfs.Truncate, Path: "/f", Off: 9},
	} {
		d := &fixed{}
		wrong := Play(t.Context(), line, d)
		if want.Verb == 0 {
			if len(wrong) == 0 {
				t.Errorf("%s: an arrow without a space is taken", line)
			}
			continue
		}
		if len(wrong) > 0 || len(d.ops) != 1 {
			t.Errorf("%s: %v, %+v", line, wrong, d.ops)
			continue
		}
		got := d.ops[0]
		if string(got.Data) != string(want.Data) || got.Verb != want.Verb || got.Path != want.Path || got.To != want.To ||
			got.Target != want.Target || got.Off != want.Off || got.Mode != want.Mode || got.Flag != want.Flag {
			t.Errorf("%s: %+v, expected %+v", line, got, want)
		}
	}
}

func TestScriptConsumes(t *testing.T) {
	d := &fixed{info: vfs.Info{Meta: vfs.Meta{Content: map[string]string{vfs.ConsumeKey: "true"}}}}
	if wrong := Play(t.Context(), "read /q -> \"taken\"", d); wrong != nil {
		t.Error(wrong)
	}
	if wrong := Play(t.Context(), "read /q off=1 -> \"taken\"", d); len(wrong) != 1 {
		t.Errorf("%v", wrong)
	}
}

// What a pattern's groups have matched is there for the lines that follow.
func TestScriptRemembers(t *testing.T) {
	d := &fixed{}
	lines := "consume /q max=2 -> ~ (?P<word>t.*)n\nwrite /f \"${word}:${other}\" -> <n>\nrm /${word} -> ok\n"
	if wrong := Play(t.Context(), lines, d); wrong != nil {
		t.Fatal(wrong)
	}
	if len(d.ops) != 2 || string(d.ops[0].Data) != "take:${other}" || d.ops[1].Path != "/take" {
		t.Errorf("%+v", d.ops)
	}
}
