package secret

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

func plugin(kind string) vfs.Plugin {
	return vfs.Plugin{Type: kind, Params: []vfs.Param{{Name: "dsn", Secret: true}, {Name: "host"}}}
}

func keyed() *Box {
	b := &Box{}
	b.SetKey(NewKey())
	return b
}

func seal(t *testing.T, b *Box, value any) string {
	t.Helper()
	c, err := b.Seal(plugin("sql"), vfs.Config{"dsn": value, "host": "db"})
	if err != nil || c["host"] != "db" {
		t.Fatal(c, err)
	}
	return c["dsn"].(string)
}

func TestSealedComesBack(t *testing.T) {
	b := keyed()
	for _, plain := range []any{"hunter2", "", 4711, "plain", strings.Repeat("x", 1<<16), "\x00\xff"} {
		given := vfs.Config{"dsn": plain}
		sealed := seal(t, b, plain)
		if plain != "" && (!strings.HasPrefix(sealed, Prefix) || strings.Contains(sealed, fmt.Sprint(plain))) {
			t.Errorf("%.20v is sealed as %.60s", plain, sealed)
		}
		if again := seal(t, b, plain); again != sealed {
			t.Errorf("%.20v is sealed in two ways", plain)
		}
		if resealed := seal(t, b, sealed); resealed != sealed {
			t.Errorf("a sealed text is sealed again: %.60s", resealed)
		}
		open, err := b.Reveal(plugin("sql"), vfs.Config{"dsn": sealed})
		if err != nil || open["dsn"] != fmt.Sprint(plain) || given["dsn"] != plain {
			t.Errorf("%.20v comes back as %.60v, %v", plain, open["dsn"], err)
		}
	}
}

func TestSealedOpensNowhereElse(t *testing.T) {
	b := keyed()
	sealed := seal(t, b, "hunter2")
	flipped := []byte(sealed)
	flipped[len(flipped)-3] ^= 1
	for name, c := range map[string]struct {
		box    *Box
		plugin string
		value  string
	}{
		"another key":    {keyed(), "sql", sealed},
		"another plugin": {b, "s3", sealed},
		"damaged":        {b, "sql", string(flipped)},
		"cut":            {b, "sql", sealed[:len(Prefix)+4]},
		"nothing":        {b, "sql", Prefix},
		"no key":         {&Box{}, "sql", sealed},
	} {
		if open, err := c.box.Reveal(plugin(c.plugin), vfs.Config{"dsn": c.value}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, %v", name, open, err)
		}
	}
	if _, err := (&Box{}).Seal(plugin("sql"), vfs.Config{"dsn": "hunter2"}); vfs.KindOf(err) != vfs.Unavailable {
		t.Errorf("sealed without a key: %v", err)
	}
}

func TestReferences(t *testing.T) {
	b := &Box{}
	t.Setenv("PFS_TEST_DSN", "from the environment")
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"env:PFS_TEST_DSN": "from the environment", "file:" + file: "from a file",
		"env:PFS_TEST_NOT_SET": "", "file:" + large: "", "file:" + file + "x": "", "file:/dev/zero": "",
	} {
		if sealed := seal(t, b, ref); sealed != ref {
			t.Errorf("%s is sealed as %s", ref, sealed)
		}
		c, err := b.Reveal(plugin("sql"), vfs.Config{"dsn": ref})
		if want == "" && (err == nil || strings.Contains(err.Error(), strings.SplitN(ref, ":", 2)[1])) {
			t.Errorf("%s: %v, %v", ref, c, err)
		}
		if want != "" && (err != nil || c["dsn"] != want) {
			t.Errorf("%s: %v, %v", ref, c, err)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := NewKey()
	back, err := ParseKey(k.Text())
	if err != nil || back != k {
		t.Errorf("%v", err)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprint(struct{ K Key }{k})} {
		if strings.Contains(s, k.Text()) || !strings.Contains(s, "***") {
			t.Errorf("printed as %s", s)
		}
	}
	for _, bad := range []string{"", "x", k.Text()[1:], k.Text() + "00"} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}
