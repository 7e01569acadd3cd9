package wire

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// noTime stands for the zero time.Time, which lies outside the nanoseconds
// that eight bytes can count.
const noTime = math.MinInt64

const timeSize = 8

func appendEvent(b []byte, e *vfs.Event) []byte {
	return appendRequest(appendTime(b, e.Time), &e.Request)
}

func appendRequest(b []byte, r *vfs.Request) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Ops)))
	for i := range r.Ops {
		b = appendOp(b, &r.Ops[i])
	}
	b = appendBytes(b, r.Key)
	if r.Key != "" {
		b = append(b, r.Sum[:]...)
	}
	return b
}

func appendOp(b []byte, o *vfs.Op) []byte {
	b = append(b, byte(o.Verb))
	b = binary.AppendUvarint(b, o.Mount)
	b = appendBytes(b, o.Path)
	b = binary.AppendUvarint(b, o.File)
	b = appendBytes(b, o.To)
	b = appendBytes(b, o.Target)
	b = binary.AppendVarint(b, o.Off)
	b = binary.AppendUvarint(b, uint64(o.Mode))
	b = append(b, byte(o.Flag), byte(o.If.Kind))
	b = binary.AppendUvarint(b, o.If.Version)
	b = appendBytes(b, o.Data)
	return appendRefs(b, o.Refs)
}

func opSize(o *vfs.Op) int {
	n := 3 + uvarintSize(o.Mount) + bytesSize(len(o.Path)) + uvarintSize(o.File) +
		bytesSize(len(o.To)) + bytesSize(len(o.Target)) +
		uvarintSize(uint64(o.Off)<<1^uint64(o.Off>>63)) + uvarintSize(uint64(o.Mode)) +
		uvarintSize(o.If.Version) + bytesSize(len(o.Data)) + uvarintSize(uint64(len(o.Refs)))
	for i := range o.Refs {
		n += len(o.Refs[i].Hash) + uvarintSize(uint64(o.Refs[i].Off)) + uvarintSize(uint64(o.Refs[i].Len))
	}
	return n
}

func appendRefs(b []byte, refs []vfs.ChunkRef) []byte {
	b = binary.AppendUvarint(b, uint64(len(refs)))
	for i := range refs {
		b = append(b, refs[i].Hash[:]...)
		b = binary.AppendUvarint(b, uint64(refs[i].Off))
		b = binary.AppendUvarint(b, uint64(refs[i].Len))
	}
	return b
}

func appendResult(b []byte, r *vfs.Result) []byte {
	b = binary.AppendVarint(b, r.N)
	b = appendBytes(b, r.Data)
	b = appendRefs(b, r.Refs)
	b = binary.AppendUvarint(b, r.Version)
	return binary.AppendUvarint(b, r.File)
}

func appendOutcome(b []byte, o *vfs.Outcome) []byte {
	b = binary.AppendUvarint(b, o.Index)
	b = binary.AppendUvarint(b, o.Seq)
	b = binary.AppendUvarint(b, uint64(len(o.Results)))
	for i := range o.Results {
		b = appendResult(b, &o.Results[i])
	}
	b = appendError(b, o.Err)
	return appendBool(b, o.Replayed)
}

func appendError(b []byte, err error) []byte {
	if err == nil {
		return appendBool(b, false)
	}
	var e *vfs.Error
	if !errors.As(err, &e) {
		k := vfs.KindOf(err)
		e = &vfs.Error{Kind: k}
		if s := err.Error(); s != k.Error() {
			e.Reason = s
		}
	}
	kind := e.Kind
	if !kind.Valid() {
		kind = vfs.Internal // an answer must always read back
	}
	b = append(appendBool(b, true), byte(kind))
	b = appendBytes(b, e.Verb)
	b = appendBytes(b, e.Path)
	b = appendBytes(b, e.Reason)
	return binary.AppendUvarint(b, e.Version)
}

func appendInfo(b []byte, i *vfs.Info) []byte {
	b = appendBytes(b, i.Name)
	b = binary.AppendVarint(b, i.Size)
	b = binary.AppendUvarint(b, uint64(i.Mode))
	b = appendTime(b, i.ModTime)
	b = binary.AppendUvarint(b, i.ID)
	b = binary.AppendUvarint(b, i.Version)
	b = appendBytes(b, i.Target)
	b = appendBytes(b, i.Meta.Name)
	b = appendBytes(b, i.Meta.Type)
	b = binary.AppendUvarint(b, uint64(len(i.Meta.Content)))
	for _, k := range slices.Sorted(maps.Keys(i.Meta.Content)) {
		b = appendBytes(appendBytes(b, k), i.Meta.Content[k])
	}
	return b
}

// appendTime cuts times outside 1677–2262 to that span.
func appendTime(b []byte, t time.Time) []byte {
	n := t.UnixNano()
	switch {
	case t.IsZero():
		n = noTime
	case t.Before(time.Unix(0, noTime+1)):
		n = noTime + 1
	case t.After(time.Unix(0, math.MaxInt64)):
		n = math.MaxInt64
	}
	return binary.BigEndian.AppendUint64(b, uint64(n))
}

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func bytesSize(n int) int { return uvarintSize(uint64(n)) + n }
