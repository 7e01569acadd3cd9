package s3fs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pfs-project/pfs/vfs"
)

// page is the most keys that a server tells at once.
const page = 1000

// List names what is in the directory at p. One page of the server's is asked
// for at a time, so that a long directory is never in memory as a whole unless
// all of it is asked for.
func (f *FS) List(ctx context.Context, _ vfs.View, p vfs.Path, after string, limit int) ([]vfs.Info, error) {
	if got, ok := f.cache.list(p, after, limit); ok {
		return got, nil
	}
	turn := f.cache.turn()
	l := listing{f: f, dir: p, after: after}
	if err := l.fill(ctx, limit); err != nil {
		return nil, err
	}
	if len(l.found) == 0 && !l.marked {
		if e, err := f.look(ctx, p); err != nil {
			return nil, err
		} else if !e.IsDir() {
			return nil, vfs.NotDirectory
		}
	}
	infos := make([]vfs.Info, len(l.found))
	for i, e := range l.found {
		infos[i] = e.Info
		f.cache.keep(turn, p.Child(e.Name), e)
	}
	f.cache.keepList(turn, p, after, limit, infos)
	return infos, nil
}

// listing is a part of a directory that is being read. The server's order is
// that of keys, in which the slash behind a directory counts: "a.txt" comes
// before "a/". The tree's order is that of names.
type listing struct {
	f     *FS
	dir   vfs.Path
	after string

	found  []entry
	marked bool   // the directory has something of its own, if only a marker
	last   string // name that the server told last
}

// fill finds the first limit names, all of them if it is 0.
func (l *listing) fill(ctx context.Context, limit int) error {
	in := &s3.ListObjectsV2Input{Bucket: &l.f.set.bucket, Delimiter: aws.String("/"),
		Prefix: aws.String(l.f.set.keys.dir(l.dir)), MaxKeys: aws.Int32(page)}
	if l.after != "" {
		in.StartAfter = aws.String(*in.Prefix + l.after)
	}
	if limit > 0 && limit < page {
		in.MaxKeys = aws.Int32(int32(limit))
	}
	more := true
	for more && (limit == 0 || len(l.found) < limit) {
		out, err := l.f.s3.ListObjectsV2(ctx, in)
		if err != nil {
			return kindOf(err)
		}
		l.take(out, *in.Prefix)
		more = aws.ToBool(out.IsTruncated) && aws.ToString(out.NextContinuationToken) != ""
		in.ContinuationToken = out.NextContinuationToken
	}
	if more {
		if err := l.ahead(ctx); err != nil {
			return err
		}
	}
	l.sort()
	if limit > 0 && len(l.found) > limit {
		l.found = l.found[:limit]
	}
	return nil
}

// take notes what is in one answer.
func (l *listing) take(out *s3.ListObjectsV2Output, prefix string) {
	l.marked = l.marked || len(out.Contents)+len(out.CommonPrefixes) > 0
	for _, o := range out.Contents {
		name := strings.TrimPrefix(aws.ToString(o.Key), prefix)
		l.last = max(l.last, name)
		if name > l.after && isName(name) {
			l.found = append(l.found, l.f.fileEntry(name, o.Size, o.LastModified, o.ETag))
		}
	}
	for _, c := range out.CommonPrefixes {
		rest := strings.TrimPrefix(aws.ToString(c.Prefix), prefix)
		l.last = max(l.last, rest)
		if name := strings.TrimSuffix(rest, "/"); name > l.after && isName(name) {
			l.found = append(l.found, l.f.dirEntry(name))
		}
	}
}

// ahead finds the directories that the server has yet to tell, but whose names
// come before the last one that it told. Such a name is the beginning of that
// one, and what follows it there sorts before a slash.
func (l *listing) ahead(ctx context.Context) error {
	for i := 1; i < len(l.last); i++ {
		name := l.last[:i]
		if l.last[i] >= '/' || name <= l.after || !isName(name) {
			continue
		}
		keys, err := l.f.below(ctx, l.dir.Child(name), 1)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			l.found = append(l.found, l.f.dirEntry(name))
		}
	}
	return nil
}

// sort brings names in order. Of a file and a directory with one name the file
// is shown.
func (l *listing) sort() {
	slices.SortStableFunc(l.found, func(a, b entry) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 || a.IsDir() == b.IsDir() {
			return c
		}
		if a.IsDir() {
			return 1
		}
		return -1
	})
	l.found = slices.CompactFunc(l.found, func(a, b entry) bool { return a.Name == b.Name })
}
