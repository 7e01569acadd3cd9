package vfs

import (
	"errors"
	"testing"
)

var (
	aFile   = Info{Name: "f", Size: 3}
	aDir    = Info{Name: "d", Mode: ModeDir}
	errGone = NotFound.With("gone")
	errDown = Unavailable.With("down")
)

// Which Writes and which new files there may be, by what is at their path.
func TestMay(t *testing.T) {
	for _, c := range []struct {
		flag    Flag
		off     int64
		at      Info
		err     error
		missing bool
		want    error
	}{
		{at: aFile},
		{at: aFile, off: MaxSize},
		{at: aFile, off: AtEnd},
		{at: aFile, flag: FlagCreate | FlagTruncate},
		{at: aFile, flag: FlagAppend, off: -1},
		{at: aFile, off: -1, want: Invalid},
		{at: aFile, off: MaxSize + 1, want: TooLarge},
		{at: aFile, flag: FlagCreate | FlagExclusive, want: Exists},
		{at: aFile, flag: FlagExclusive, off: -1, want: Exists},
		{at: aDir, want: IsDirectory},
		{at: aDir, flag: FlagCreate | FlagExclusive, want: IsDirectory},
		{err: errGone, missing: true, want: errGone},
		{err: errGone, flag: FlagExclusive, missing: true, want: errGone},
		{err: errGone, flag: FlagCreate, missing: true},
		{err: errGone, flag: FlagCreate | FlagExclusive, off: AtEnd, missing: true},
		{err: errGone, flag: FlagCreate, off: -1, missing: true, want: Invalid},
		{err: errGone, flag: FlagCreate, off: MaxSize + 1, missing: true, want: TooLarge},
		{err: errDown, flag: FlagCreate, want: errDown},
	} {
		op := Op{Verb: Write, Flag: c.flag, Off: c.off}
		missing, err := op.MayWrite(c.at, c.err)
		if missing != c.missing || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v: missing %v, %v", c, missing, err)
		}
	}
	for _, c := range []struct {
		at        Info
		err, want error
	}{{aFile, nil, Exists}, {aDir, nil, Exists}, {Info{}, errGone, nil}, {Info{}, errDown, errDown}} {
		if err := MayMake(c.at, c.err); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("make at %+v: %v", c, err)
		}
	}
}

// What conditions are worth where files have no versions.
func TestUnversioned(t *testing.T) {
	for _, c := range []struct {
		kind      CondKind
		err, want error
	}{
		{Always, nil, nil}, {Always, errGone, nil}, {Always, errDown, nil},
		{IfExists, nil, nil}, {IfExists, errGone, Stale}, {IfExists, errDown, errDown},
		{IfAbsent, nil, Stale}, {IfAbsent, errGone, nil}, {IfAbsent, errDown, errDown},
		{IfVersion, nil, Unsupported}, {IfVersion, errGone, Unsupported}, {IfVersion, errDown, errDown},
	} {
		if err := (Cond{Kind: c.kind}).Unversioned(c.err); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
