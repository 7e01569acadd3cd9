package vfs

import (
	"context"
	"io"
	"strconv"
)

// TuneFile is the Tune of a Device whose files are no streams but are asked for
// as such by clients of older servers: a file is followed from its beginning, or
// from an offset, to its end. Any other place is Unsupported: nothing is to come.
func TuneFile(ctx context.Context, d Streamer, p Path, from string) (io.ReadCloser, int64, error) {
	off := int64(0)
	if from != "oldest" {
		var err error
		if off, err = strconv.ParseInt(from, 10, 64); err != nil || off < 0 {
			return nil, -1, Unsupported
		}
	}
	r, err := d.Stream(ctx, p, 0, off)
	return r, off, err
}
