package queuefs

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/pfs-project/pfs/vfs"
)

// resident is a message in one of the directories dead, delayed and inflight.
type resident struct {
	message
	seq    uint64
	at     stamp
	extras string // members of the answer that tell why it is there
}

// findEntry returns the message that a spot with an entry names.
func findEntry(v vfs.View, id uint64, s spot) (resident, bool) {
	t := getTally(v, id)
	var k []byte
	if s.file == "inflight" {
		box, fence, ok := parseLease(s.entry)
		if !ok || box != t.box {
			return resident{}, false
		}
		k = numberKey(rowLease, box, fence)
	} else {
		uuid, ok := parseUUID(s.entry)
		if !ok {
			return resident{}, false
		}
		k = append(t.holdKey(s.file), uuid[:]...)
	}
	b, ok := v.Get(k)
	if !ok {
		return resident{}, false
	}
	_, r := t.resident(v, s.file, k, b)
	return r, true
}

// holdKey is what the keys of the messages in a directory start with.
func (t *tally) holdKey(dir string) []byte {
	switch dir {
	case "dead":
		return key(rowDead, t.grave)
	case "delayed":
		return key(rowDelayed, t.box)
	}
	return key(rowLease, t.box)
}

// resident returns the message of a row of a directory, and its name there.
func (t *tally) resident(v vfs.View, dir string, k, b []byte) (name string, r resident) {
	switch dir {
	case "dead":
		d := decodeDead(b)
		r = resident{d.message, d.seq, d.at, counts(d.seq, d.attempt) + deadExtras(d.reason, d.at.ns)}
	case "delayed":
		d := decodeDelayed(b)
		r = resident{getMessage(v, t.box, d.seq), d.seq, d.at, counts(d.seq, d.attempt) + delayedExtras(d.until)}
	default:
		l, fence := decodeLease(b), binary.BigEndian.Uint64(k[9:])
		i := item{seq: l.seq, attempt: l.attempt, box: t.box, fence: fence, deadline: l.deadline}
		return leaseText(t.box, fence), resident{getMessage(v, t.box, l.seq), l.seq, l.at,
			i.extras() + takenExtras(l.at.ns)}
	}
	return uuidText(r.id), r
}

func counts(seq, attempt uint64) string {
	return `,"seq":` + strconv.FormatUint(seq, 10) + `,"attempt":` + strconv.FormatUint(attempt, 10)
}

func deadExtras(reason string, ns int64) string {
	return `,"reason":` + quote(reason) + `,"died":"` + timestamp(ns) + `"`
}

func delayedExtras(until int64) string { return `,"due":"` + timestamp(until) + `"` }

func takenExtras(ns int64) string { return `,"taken":"` + timestamp(ns) + `"` }

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // not of a string
	}
	return string(b)
}

// residents yields what is in one of the directories after a name, in order.
func residents(v vfs.View, id uint64, dir, after string) iter.Seq2[string, resident] {
	t := getTally(v, id)
	prefix := t.holdKey(dir)
	var low []byte
	ok := true
	if dir == "inflight" {
		low, ok = bound(after, fmt.Sprintf("%x-", t.box), "xxxxxxxxxxxxxxxx", 8)
	} else {
		low, ok = bound(after, "", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", 16)
	}
	return func(yield func(string, resident) bool) {
		if !ok {
			return
		}
		for k, b := range v.Scan(prefix, slices.Concat(prefix, low)) {
			name, r := t.resident(v, dir, k, b)
			if name > after && !yield(name, r) {
				return
			}
		}
	}
}

// entryInfo describes a message in a directory.
func (f FS) entryInfo(ctx context.Context, r resident, name string) (vfs.Info, error) {
	info := vfs.Info{
		Name: name, Mode: 0o444, ModTime: r.at.time(), Version: r.at.version,
		Meta: vfs.Meta{Name: pluginType, Type: "message"},
	}
	if vfs.Folding(ctx) {
		return info, nil
	}
	if len(r.refs) > 0 { // its length is known without its content
		head, tail := frame(r.message, true, r.extras)
		info.Size = int64(len(head) + base64.StdEncoding.EncodedLen(int(r.size())) + len(tail))
		return info, nil
	}
	var w window
	err := f.writeEntry(ctx, r, &w)
	info.Size = w.size
	return info, err
}

// writeEntry renders a message in a directory. A long one comes in base64
// whatever it is, so that its length is known.
func (f FS) writeEntry(ctx context.Context, r resident, w io.Writer) error {
	if len(r.refs) > 0 {
		return f.renderAs(ctx, r.message, true, r.extras, w)
	}
	return f.render(ctx, r.message, r.extras, w)
}
