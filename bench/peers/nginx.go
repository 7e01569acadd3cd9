package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"

	"github.com/pfs-project/pfs/bench/target"
)

// nginxConfig is what the manual gives for static files: sendfile, one worker a
// processor, connections kept, open files kept, no log of requests.
const nginxConfig = `daemon off;
user %[3]s;
worker_processes auto;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	sendfile_max_chunk 2m;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	open_file_cache max=1000;
	client_body_temp_path %[1]s/t1;
	proxy_temp_path %[1]s/t2;
	fastcgi_temp_path %[1]s/t3;
	uwsgi_temp_path %[1]s/t4;
	scgi_temp_path %[1]s/t5;
	server { listen %[2]s; root %[1]s/www; }
}
`

// StartNginx starts nginx over a folder of files. It takes none itself: an
// Upload is a file in the folder.
func StartNginx(ctx context.Context, s Site) (*target.Target, error) {
	ver, err := version(ctx, "nginx/", "nginx", "-v")
	if err != nil {
		return nil, err
	}
	addrs, free, err := hold(1)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "nginx")
	n := &nginx{root: filepath.Join(dir, "www"), url: "http://" + addrs[0] + "/", hc: newHTTP()}
	var procs children
	end := func() error { defer free(); n.hc.CloseIdleConnections(); return procs.stop() }
	who, err := user.Current() // else root's workers are a user who cannot read its folders
	if err == nil {
		err = os.MkdirAll(n.root, 0o755)
	}
	if err != nil {
		return nil, errors.Join(err, end())
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, dir, addrs[0], who.Username), 0o600); err != nil {
		return nil, errors.Join(err, end())
	}
	c, err := start(ctx, dir, "nginx", "-c", conf, "-p", dir)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	procs = append(procs, c)
	if err := os.WriteFile(filepath.Join(n.root, "ready"), nil, 0o644); err != nil {
		return nil, errors.Join(err, end())
	}
	if err := ready(ctx, c, serves(n.url+"ready")); err != nil {
		return nil, errors.Join(err, end())
	}
	return &target.Target{Name: "nginx", Version: ver, Nodes: 1,
		Durability: "a file in its folder, synced by who laid it there: it takes none itself", Blob: n, Groups: procs.groups(), Close: end}, nil
}

type nginx struct {
	root, url string
	hc        *http.Client
}

// Upload implements target.Blob.
func (n *nginx) Upload(_ context.Context, name string, r io.Reader, size int64) error {
	f, err := os.CreateTemp(n.root, "new")
	if err != nil {
		return err
	}
	wrote, err := io.Copy(f, r)
	if err == nil && wrote != size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(n.root, name))
}

// Download implements target.Blob.
func (n *nginx) Download(ctx context.Context, name string, w io.Writer) (int64, error) {
	return fetch(ctx, n.hc, n.url+name, w)
}
