package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pfs-project/pfs/bench/target"
)

// StartDD is no server: an Upload is dd of a file with conv=fsync, in blocks of
// 1 MiB. Its Blob is a DD.
func StartDD(ctx context.Context, s Site) (*target.Target, error) {
	ver, err := version(ctx, "dd (coreutils)", "dd", "--version")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "dd")
	return &target.Target{Name: "dd conv=fsync", Version: ver, Nodes: 1, Durability: "in a file, with one fsync at its end",
		Blob: DD(dir), Close: func() error { return nil }}, os.MkdirAll(dir, 0o755)
}

// DD is the folder that it writes to.
type DD string

// Remove removes a file that was uploaded.
func (d DD) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

// Upload implements target.Blob. r must be a file: dd opens it by its name.
func (d DD) Upload(ctx context.Context, name string, r io.Reader, size int64) error {
	from, ok := r.(*os.File)
	if !ok {
		return errors.New("dd copies files only")
	}
	to := filepath.Join(string(d), name)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "dd", "if="+from.Name(), "of="+to, "bs=1M", "conv=fsync")
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("dd: %w: %s", err, out.Bytes())
	}
	info, err := os.Stat(to)
	if err == nil && info.Size() != size {
		err = io.ErrShortWrite
	}
	return err
}

// Download implements target.Blob.
func (d DD) Download(_ context.Context, name string, w io.Writer) (int64, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, f)
}
