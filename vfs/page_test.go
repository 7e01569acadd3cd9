package vfs

import "testing"

// A page is what comes after a name, and no more than was asked for.
func TestPage(t *testing.T) {
	all := []Info{{Name: "a"}, {Name: "b"}, {Name: "d"}}
	for _, c := range []struct {
		after string
		limit int
		want  string
	}{{"", 0, "abd"}, {"", 2, "ab"}, {"", 9, "abd"}, {"a", 0, "bd"}, {"a", 1, "b"}, {"c", 1, "d"}, {"c", 0, "d"}, {"d", 0, ""}, {"e", 3, ""}} {
		got := ""
		for _, i := range Page(all, c.after, c.limit) {
			got += i.Name
		}
		if got != c.want {
			t.Errorf("after %q, %d: %q, want %q", c.after, c.limit, got, c.want)
		}
	}
	if Page(nil, "a", 1) != nil {
		t.Error("a page of nothing")
	}
}
