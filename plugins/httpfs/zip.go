package httpfs

import (
	"archive/zip"
	"context"
	"io"
	"mime"
	"net/http"

	"github.com/pfs-project/pfs/vfs"
)

// zip answers a directory as an archive, as it is read. Links, and files whose
// read takes something away, are not in it.
func (v *visit) zip() error {
	name := v.source.Join(v.at).Base()
	if name == "/" {
		name = "pfs"
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + ".zip"}))
	if v.r.Method == http.MethodHead {
		return nil
	}
	z := zip.NewWriter(v.w)
	err := v.pack(z, v.source.Join(v.at), "")
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		v.log.Warn("request of the web server failed", "path", string(v.at), "error", err)
		panic(http.ErrAbortHandler) // half an archive is none
	}
	return nil
}

// pack adds what is in a directory; prefix is its name in the archive.
func (v *visit) pack(z *zip.Writer, dir vfs.Path, prefix string) error {
	for after := ""; ; {
		list, err := v.list(dir, after, pageSize)
		if err != nil {
			return err
		}
		for _, i := range list {
			if err := v.packOne(z, dir.Child(i.Name), prefix+i.Name, i); err != nil {
				return err
			}
		}
		if len(list) < pageSize {
			return nil
		}
		after = list[len(list)-1].Name
	}
}

func (v *visit) packOne(z *zip.Writer, p vfs.Path, name string, i vfs.Info) error {
	switch {
	case i.Mode.IsLink(), i.Consumes(), i.Endless():
		return nil
	case i.IsDir():
		if _, err := z.CreateHeader(&zip.FileHeader{Name: name + "/", Modified: i.ModTime}); err != nil {
			return err
		}
		return v.pack(z, p, name+"/")
	}
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Modified: i.ModTime, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{&content{v: v, path: p, size: i.Size}}, make([]byte, 64<<10))
	return err
}

// list returns a page of a directory.
func (v *visit) list(dir vfs.Path, after string, limit int) ([]vfs.Info, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), opTime)
	defer cancel()
	return v.im.List(ctx, dir, after, limit)
}
