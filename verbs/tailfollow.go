package verbs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// goOn shows what is appended, until the file is gone or ctx ends.
func (f *tailed) goOn(ctx context.Context) error {
	out := f.heading(f.path, f.name)
	if f.stream != nil {
		return f.hear(f.stream, f.name, out, f.missed)
	}
	var tries retries
	for ctx.Err() == nil {
		asked := time.Now()
		p, err := f.ask(ctx)
		switch {
		case err == nil:
			tries.worked()
			err = f.show(p, out)
			if err == nil && f.blind {
				err = pause(ctx, f.poll)
			}
		case errors.Is(err, client.ErrUnchanged):
			tries.worked()
			err = nil
			if time.Since(asked) < waitTime/2 { // a node that stops ends all waiting
				err = pause(ctx, f.poll)
			}
		case errors.Is(err, vfs.Unsupported) && !f.blind:
			f.blind, err = true, nil
		case errors.Is(err, fs.ErrNotExist) && f.retry:
			err = f.missing(ctx)
		}
		if cli.Code(err) == cli.ExitTemporary && ctx.Err() == nil {
			err = tries.again(ctx, f.app, err)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ask asks for what comes behind what was shown.
func (f *tailed) ask(ctx context.Context) (client.Part, error) {
	if f.blind {
		return f.c.WaitRead(ctx, f.path, "", client.Range{Off: f.off, Size: -1}, 0)
	}
	return f.c.WaitRead(ctx, f.path, f.etag, client.Range{Off: f.off, Size: -1}, waitTime)
}

// show shows what has come, or goes to the start of what is another file now.
func (f *tailed) show(p client.Part, out io.Writer) error {
	defer p.Close()
	switch {
	case f.etag == client.NoFile:
		f.Say("pfs: tail %s: the file has appeared", f.name)
	case f.file != "" && p.File != "" && f.file != p.File && !f.retry:
		return &fs.PathError{Op: "tail", Path: f.name, Err: errors.New("another file has its name now; -F follows the name")}
	case f.file != "" && p.File != "" && f.file != p.File:
		f.Say("pfs: tail %s: another file has its name; following that", f.name)
	case p.Size >= 0 && p.Size < f.off && (p.Size > 0 || p.File != ""):
		f.Say("pfs: tail %s: the file was cut; following from its start", f.name)
	default:
		n, err := io.Copy(out, p)
		f.off += n
		if err == nil { // otherwise what is missing is asked for at once
			f.etag, f.file = p.ETag, p.File
		}
		return err
	}
	f.off, f.etag, f.file = 0, "", p.File
	return nil
}

// missing has a name waited for that no file has.
func (f *tailed) missing(ctx context.Context) error {
	if f.etag != client.NoFile {
		f.Say("pfs: tail %s: the file is gone; waiting for another", f.name)
	}
	f.off, f.etag, f.file = 0, client.NoFile, ""
	if f.blind {
		return pause(ctx, f.poll)
	}
	return nil
}

// streamLook is how much of a stream is searched for its last lines, in bytes.
const streamLook = 1 << 20

// streamFrom returns from where on a stream is asked for: by its offset, and as the
// server calls that. i describes it.
func (f *tailed) streamFrom(i client.Info) (from int64, place string) {
	oldest, err := strconv.ParseInt(i.Meta.Content["oldest"], 10, 64)
	if err != nil {
		oldest = i.Size
	}
	from = max(oldest, i.Size-streamLook)
	switch {
	case f.n.bytes && f.n.fromStart:
		from = max(oldest, f.n.n-1)
	case f.n.fromStart:
		from = oldest
	case f.n.bytes:
		from = max(oldest, i.Size-f.n.n)
	}
	if err == nil && from == oldest { // a busy stream may have forgotten it by now
		return from, client.Oldest
	}
	from = min(from, i.Size)
	return from, strconv.FormatInt(from, 10)
}

// streamEnd shows the end of what a stream keeps. i describes it.
func (f *tailed) streamEnd(ctx context.Context, i client.Info, out io.Writer) error {
	from, place := f.streamFrom(i)
	var err error
	f.stream, err = f.c.Tail(ctx, f.path, place)
	if errors.Is(err, vfs.Range) {
		f.stream, err = f.c.Tail(ctx, f.path, client.Oldest)
	}
	if err != nil {
		return err
	}
	part := &streamPart{f, from, i.Size}
	if off := f.stream.Offset(); off >= 0 {
		part.at = off
	}
	if f.n.bytes {
		_, err = io.Copy(out, part)
	} else {
		err = f.ending(part, out)
	}
	if f.more = f.follow && err == nil; f.more {
		return nil
	}
	if err == nil && f.missed {
		err = notWhole(f.name)
	}
	return errors.Join(err, f.stream.Close())
}

// streamPart is a part of what a stream keeps. What is forgotten before it was read is
// told, and passed over.
type streamPart struct {
	f       *tailed
	at, end int64 // offsets
}

// Read reads on.
func (p *streamPart) Read(b []byte) (int, error) {
	for p.at < p.end {
		n, err := p.f.stream.Read(b[:min(int64(len(b)), p.end-p.at)])
		p.at += int64(n)
		var gap *client.Gap
		if !errors.As(err, &gap) {
			return n, err
		}
		p.f.Say("pfs: %s: %v", p.f.name, gap)
		p.f.missed, p.at = true, gap.Oldest
	}
	return 0, io.EOF
}
