package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path"
	"strings"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/vfs"
)

// ownFiles returns a client of the node that listens at an address: it reaches
// every mount, wherever it lives, as any other client does.
func ownFiles(at net.Addr) (*client.Client, error) {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return client.New(client.Config{URLs: []string{"http://" + net.JoinHostPort(host, port)}})
}

// mkdirs makes the directories of a mount down to the one at rel.
func mkdirs(ctx context.Context, files *client.Client, m vfs.Mounted, rel vfs.Path) error {
	made := string(m.Path)
	for name := range strings.SplitSeq(strings.Trim(string(rel), "/"), "/") {
		if name == "" {
			continue
		}
		made = path.Join(made, name)
		if err := files.Mkdir(ctx, made, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
