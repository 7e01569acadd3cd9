package vfs

import (
	"strings"
	"testing"
	"time"
)

// What a plugin tells of a file is held to what a client may say, and made whole.
func TestTold(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"", ".", "..", "a/b", "a\x00", "\xff", strings.Repeat("x", MaxName+1)} {
		if _, err := Told(Info{Name: name}, "", began); KindOf(err) != Crashed {
			t.Errorf("the name %.20q: %v", name, err)
		}
	}
	for _, size := range []int64{-1, MaxSize + 1} {
		if _, err := Told(Info{Size: size}, "f", began); KindOf(err) != Crashed {
			t.Errorf("the size %d: %v", size, err)
		}
	}
	for _, when := range []time.Time{{}, time.Date(1, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if i, err := Told(Info{ModTime: when}, "f", began); err != nil || i.ModTime != began {
			t.Errorf("the time %v: %v, %v", when, i.ModTime, err)
		}
	}
	there := time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("east", 3600))
	i, err := Told(Info{Name: "other", Size: 5, Mode: ModeDir | 0o7755, ModTime: there, Version: 9,
		Meta: Meta{Name: "n", Content: map[string]string{"a": "b", ConsumeKey: "true"}}}, "f", began)
	if err != nil || i.Name != "f" || i.Size != 0 || i.Mode != ModeDir|0o755 || !i.ModTime.Equal(there) || i.ModTime.Location() != time.UTC ||
		i.Version != 0 || len(i.Meta.Content) != 1 || i.Meta.Name != "n" {
		t.Errorf("%+v, %v", i, err)
	}
}
