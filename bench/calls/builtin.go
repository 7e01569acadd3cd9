package calls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/store"
	"github.com/pfs-project/pfs/vfs"
)

// chunkSize is that of the chunks which content is cut into, in bytes.
const chunkSize = 4 << 20

// builtin is memfs as a node has it: over a snapshot of a store, with its chunks in
// memory. Not safe for concurrent use.
type builtin struct {
	fs     vfs.Folder
	store  *store.Store
	now    *store.Snapshot
	seq    uint64
	chunks map[[32]byte][]byte
}

func newBuiltin() (*builtin, error) {
	st, err := store.Open("state", store.Options{FS: pebblevfs.NewMem()})
	if err != nil {
		return nil, err
	}
	b := &builtin{store: st, now: st.Snapshot(), chunks: map[[32]byte][]byte{}}
	fs, err := memfs.Plugin().New(vfs.Env{Chunks: b}, nil)
	if err == nil {
		b.fs = fs.(vfs.Folder)
		err = b.apply(vfs.Op{Verb: vfs.Mount, Path: vfs.Root, Data: []byte("memfs")})
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *builtin) close() error {
	b.now.Close()
	return b.store.Close()
}

// tx counts no chunks: they stay as long as the run.
type tx struct {
	*vfs.Overlay
	seq uint64
}

func (t tx) Retain(vfs.ChunkRef)  {}
func (t tx) Release(vfs.ChunkRef) {}
func (t tx) Now() time.Time       { return time.Unix(int64(t.seq), 0).UTC() }
func (t tx) Seq() uint64          { return t.seq }

// apply folds one Op in, and shows what comes of it.
func (b *builtin) apply(op vfs.Op) error {
	b.seq++
	over := vfs.NewOverlay(b.now)
	if _, err := b.fs.Apply(tx{over, b.seq}, op); err != nil {
		return err
	}
	if err := b.store.Commit(over); err != nil {
		return err
	}
	b.now.Close()
	b.now = b.store.Snapshot()
	return nil
}

// ReadChunk fills p from a chunk.
func (b *builtin) ReadChunk(_ context.Context, ref vfs.ChunkRef, p []byte, off int64) error {
	data, ok := b.chunks[ref.Hash]
	if !ok || int64(ref.Off)+off+int64(len(p)) > int64(len(data)) {
		return vfs.Internal.Withf("no chunk %x", ref.Hash[:4])
	}
	copy(p, data[int64(ref.Off)+off:])
	return nil
}

func (b *builtin) stat(ctx context.Context, p vfs.Path) (vfs.Info, error) {
	return b.fs.Stat(ctx, b.now, p)
}

func (b *builtin) list(ctx context.Context, p vfs.Path) ([]vfs.Info, error) {
	return b.fs.List(ctx, b.now, p, "", 0)
}

func (b *builtin) readAt(ctx context.Context, p vfs.Path, buf []byte, off int64) (int, error) {
	return b.fs.ReadAt(ctx, b.now, p, buf, off)
}

// write replaces a file with a few bytes.
func (b *builtin) write(_ context.Context, p vfs.Path, data []byte) error {
	return b.apply(vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate, Data: data})
}

// put replaces a file with a stream: chunk by chunk, then one Op that names them.
func (b *builtin) put(_ context.Context, p vfs.Path, r io.Reader) error {
	op := vfs.Op{Verb: vfs.Write, Path: p, Flag: vfs.FlagCreate | vfs.FlagTruncate}
	clear(b.chunks) // what the file had
	for {
		data := make([]byte, chunkSize)
		n, err := io.ReadFull(r, data)
		if n > 0 {
			ref := vfs.ChunkRef{Hash: blake3.Sum256(data[:n]), Len: uint32(n)}
			b.chunks[ref.Hash] = data[:n]
			op.Refs = append(op.Refs, ref)
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return b.apply(op)
		}
		if err != nil {
			return err
		}
	}
}

// fill makes a directory like the one of the plugin: so many entries, one of them
// the file.
func (b *builtin) fill(ctx context.Context, entries int, size int64) (dir, file vfs.Path, err error) {
	dir = vfs.Root.Child("dir")
	if err := b.apply(vfs.Op{Verb: vfs.Mkdir, Path: dir, Mode: 0o755}); err != nil {
		return "", "", err
	}
	for i := range max(entries-1, 0) {
		if err := b.write(ctx, dir.Child(fmt.Sprint("beside-", i)), []byte("x")); err != nil {
			return "", "", err
		}
	}
	file = dir.Child(fileName)
	return dir, file, b.write(ctx, file, make([]byte, min(size, small)))
}
