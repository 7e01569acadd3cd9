package api

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/pfs-project/pfs/vfs"
)

// algorithms are the digests of POST /digest. xxh3 is the low half of the
// 128-bit sum, as existing clients have it.
var algorithms = map[string]func() (w io.Writer, sum func() []byte){
	"md5": func() (io.Writer, func() []byte) {
		h := md5.New()
		return h, func() []byte { return h.Sum(nil) }
	},
	"xxh3": func() (io.Writer, func() []byte) {
		h := xxh3.New()
		return h, func() []byte { return binary.BigEndian.AppendUint64(nil, h.Sum128().Lo) }
	},
}

// digest answers POST /digest: of one version of the file.
func (c *call) digest() error {
	var in struct {
		Algorithm string `json:"algorithm"`
		Path      string `json:"path"`
	}
	if err := c.decode(&in, "invalid request body: %v"); err != nil {
		return err
	}
	start, ok := algorithms[in.Algorithm]
	switch {
	case !ok:
		return vfs.Invalid.Withf("unsupported algorithm: %s (supported: xxh3, md5)", printable(in.Algorithm))
	case in.Path == "":
		return vfs.Invalid.With("path is required")
	}
	p, err := c.parse(in.Path)
	if err != nil {
		return err
	}
	w, sum := start()
	if err := c.feedTo(w, p); err != nil {
		return prefixed("failed to calculate digest", err)
	}
	return c.json(200, struct {
		Algorithm string   `json:"algorithm"`
		Path      vfs.Path `json:"path"`
		Digest    string   `json:"digest"`
	}{in.Algorithm, p, hex.EncodeToString(sum())})
}

// feedTo writes the whole file into w.
func (c *call) feedTo(w io.Writer, p vfs.Path) error {
	img, err := c.image()
	if err != nil {
		return err
	}
	defer img.Release()
	i, file, err := img.Table.Open(c.context(), img.View, "read", p)
	switch {
	case err != nil:
		return err
	case i.IsDir():
		return named(vfs.IsDirectory, "read", p)
	case i.Consumes():
		return named(vfs.Invalid.With("reading it takes something away"), "read", p)
	case i.Endless():
		return named(errEndless, "read", p)
	}
	c.validators(i)
	f := &fileBody{s: c.life(), img: img, file: file, asked: p, left: i.Size}
	buf := f.window()
	defer c.s.windows.put(buf)
	for {
		n, err := f.readAt(c.context(), buf)
		w.Write(buf[:n]) // a hash takes everything
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case c.gone():
			return vfs.Timeout.With("the client has left")
		}
	}
}
