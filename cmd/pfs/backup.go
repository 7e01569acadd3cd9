package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/backup"
	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/fsm"
)

func (a *app) clusterBackup() *cobra.Command {
	var verify, local bool
	c := &cobra.Command{Use: "backup file", Short: "Write a backup of the whole cluster to a file, or - for stdout", Args: cobra.ExactArgs(1),
		Long: `Writes the whole state of the cluster at one index, with all content, to a
file. The file appears under its name once all of it was received, verified and
synced. The index and the digest are those that "pfs cluster restore" will
print, and that GET /api/v1/cluster/digest gave at that index.

With --verify nothing is written and no server is needed: an existing backup is
read to its end and all its checksums are compared.`,
		Example: "  pfs cluster backup pfs.pfsbackup\n  pfs cluster backup --verify pfs.pfsbackup\n  pfs cluster backup - | ssh vault 'cat > pfs.pfsbackup'"}
	c.Flags().BoolVar(&verify, "verify", false, "verify an existing backup, without a server")
	c.Flags().BoolVar(&local, "local", false, "take what the node has, which works without a quorum too")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if verify {
			return a.verifyBackup(args[0])
		}
		return a.With(cmd, func(ctx context.Context, c *client.Client) error { return a.saveBackup(ctx, c, args[0], !local) })
	}
	return c
}

// saveBackup brings a backup from a node to a file, or stdout.
func (a *app) saveBackup(ctx context.Context, c *client.Client, file string, fresh bool) error {
	b, err := c.Backup(ctx, fresh)
	if err != nil {
		return err
	}
	defer b.Body.Close()
	bar := a.Progress(-1)
	defer bar.Finish()
	if file == "-" {
		h, t, err := copyBackup(bar.Writer(a.Stdout), b.Body)
		if err != nil {
			return err
		}
		for _, line := range describeBackup("-", h, t) {
			if !a.Quiet {
				a.Say("%s", line)
			}
		}
		return nil
	}
	var h backup.Header
	var t backup.Trailer
	err = wholeFile(file, func(w io.Writer) (err error) {
		h, t, err = copyBackup(bar.Writer(w), b.Body)
		return err
	})
	if err != nil {
		return err
	}
	bar.Finish()
	return a.showBackup(file, h, t)
}

// copyBackup copies a backup and verifies it on the way. It is whole when there
// is no error.
func copyBackup(to io.Writer, from io.Reader) (backup.Header, backup.Trailer, error) {
	in := &remembering{r: from}
	out := bufio.NewWriterSize(to, 1<<20)
	h, t, err := backup.Verify(bufio.NewReaderSize(io.TeeReader(in, out), 1<<20), fsm.CountedBy)
	if err == nil {
		err = out.Flush()
	}
	if in.err != nil && err != nil {
		err = in.err // a transfer that broke off, before what it looks like
	}
	return h, t, err
}

// remembering keeps the error of a reader, which others may rename.
type remembering struct {
	r   io.Reader
	err error
}

// Read reads on.
func (r *remembering) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// wholeFile makes a file of what fill writes. It is under another name, with
// .part at its end, until all of it is synced.
func wholeFile(file string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(file+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(file+".part", file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file+".part"))
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can
	return dir.Close()
}

func (a *app) verifyBackup(file string) error {
	in, size := a.Stdin, int64(-1)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
		if st, err := f.Stat(); err == nil {
			size = st.Size()
		}
	}
	bar := a.Progress(size)
	h, t, err := backup.Verify(bufio.NewReaderSize(io.TeeReader(in, bar.Writer(io.Discard)), 1<<20), fsm.CountedBy)
	bar.Finish()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return a.showBackup(file, h, t)
}

// describeBackup is what a backup is of, in lines.
func describeBackup(file string, h backup.Header, t backup.Trailer) []string {
	return []string{
		fmt.Sprintf("%s: index %d, digest %s", file, h.Index, h.Digest),
		fmt.Sprintf("%d rows, %d chunks, %s; cluster %s, %s, PFS %s",
			t.Rows, t.Chunks, cli.SizeText(t.Bytes), h.Cluster, h.Time.Format(time.RFC3339), h.Version),
	}
}

func (a *app) showBackup(file string, h backup.Header, t backup.Trailer) error {
	if a.JSON() {
		return a.Encode(struct {
			File string `json:"file"`
			backup.Header
			Trailer backup.Trailer `json:"trailer"`
		}{file, h, t})
	}
	for _, line := range describeBackup(file, h, t) {
		a.Printf("%s\n", line)
	}
	return nil
}

func (a *app) clusterRestore() *cobra.Command {
	return &cobra.Command{Use: "restore file", Short: "Load a backup, or - for stdin, into an empty cluster", Args: cobra.ExactArgs(1),
		Long: `Loads a backup into an empty cluster: one that has formed, and in which nobody
has written, linked, mounted or unmounted anything since. Any node takes it.
While it goes on nobody reads or writes; a restore that fails leaves the cluster
empty. The cluster keeps its own id and nodes. The digest that is printed is
that of the backup.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, size := a.Stdin, int64(-1)
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				st, err := f.Stat()
				if err != nil {
					return err
				}
				if in = f; st.Mode().IsRegular() {
					size = st.Size()
				}
			}
			return a.With(cmd, func(ctx context.Context, c *client.Client) error { return a.sendBackup(ctx, c, in, size) })
		}}
}

func (a *app) sendBackup(ctx context.Context, c *client.Client, in io.Reader, size int64) error {
	bar := a.Progress(size)
	defer bar.Finish()
	answer, err := c.Restore(ctx, io.TeeReader(in, bar.Writer(io.Discard)), size)
	if err != nil {
		return err
	}
	bar.Finish()
	if a.JSON() {
		_, err := fmt.Fprintln(a.Stdout, string(answer))
		return err
	}
	var r backup.Restored
	if err := json.Unmarshal(answer, &r); err != nil {
		return err
	}
	a.Printf("restored at index %d: digest %s\n%d rows, %d chunks, %s; of cluster %s at index %d, %s\n",
		r.Index, r.Digest, r.Rows, r.Chunks, cli.SizeText(r.Bytes), r.Backup.Cluster, r.Backup.Index, r.Backup.Time.Format(time.RFC3339))
	return nil
}
