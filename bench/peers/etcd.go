package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/pfs-project/pfs/bench/target"
)

// perConn is how many clients share one connection to etcd. A connection of
// gRPC carries many requests at once; etcd's own benchmark gives ten clients one.
const perConn = 8

// StartEtcd starts nodes of etcd. Its connections are spread over the nodes.
func StartEtcd(ctx context.Context, s Site, nodes int) (*target.Target, error) {
	ver, err := version(ctx, "etcd Version:", "etcd", "--version")
	if err != nil {
		return nil, err
	}
	addrs, free, err := hold(2 * nodes)
	if err != nil {
		return nil, err
	}
	var procs children
	end := func() error { defer free(); return procs.stop() }
	var cluster []string
	for i := range nodes {
		cluster = append(cluster, fmt.Sprintf("e%d=http://%s", i+1, addrs[nodes+i]))
	}
	for i := range nodes {
		dir := filepath.Join(s.Dir, fmt.Sprintf("etcd%d", nodes), fmt.Sprint(i))
		api, peer := "http://"+addrs[i], "http://"+addrs[nodes+i]
		c, err := start(ctx, dir, "etcd", "--name", fmt.Sprintf("e%d", i+1), "--data-dir", filepath.Join(dir, "data"),
			"--listen-client-urls", api, "--advertise-client-urls", api,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
			"--log-level", "error", "--logger", "zap")
		if err != nil {
			return nil, errors.Join(err, end())
		}
		procs = append(procs, c)
	}
	for i, c := range procs {
		if err := ready(ctx, c, serves("http://"+addrs[i]+"/health")); err != nil {
			return nil, errors.Join(err, end())
		}
	}
	kv, err := dialEtcd(addrs[:nodes], (s.Clients+perConn-1)/perConn)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return &target.Target{Name: plural("etcd", nodes), Version: ver, Nodes: nodes,
		Durability: "in the write-ahead log on a majority of the nodes, each with fdatasync, and applied on the node that answers; reads are linearizable",
		KV:         kv, Groups: procs.groups(), Close: func() error { return errors.Join(kv.close(), end()) }}, nil
}

// etcd is connections to etcd; client c uses the connection c modulo their
// number.
type etcd struct{ conns []*clientv3.Client }

func dialEtcd(addrs []string, conns int) (*etcd, error) {
	e := &etcd{}
	for i := range max(len(addrs), conns) {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{addrs[i%len(addrs)]}, DialTimeout: 10 * time.Second,
			Logger: zap.NewNop(), DialOptions: []grpc.DialOption{grpc.WithBlock()}})
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
		e.conns = append(e.conns, c)
	}
	return e, nil
}

func (e *etcd) close() error {
	var errs []error
	for _, c := range e.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Put implements target.KV.
func (e *etcd) Put(ctx context.Context, client int, key string, value []byte) error {
	_, err := e.conns[client%len(e.conns)].Put(ctx, key, string(value))
	return err
}

// Get implements target.KV.
func (e *etcd) Get(ctx context.Context, client int, key string, dst []byte) ([]byte, error) {
	r, err := e.conns[client%len(e.conns)].Get(ctx, key)
	if err != nil {
		return dst, err
	}
	if len(r.Kvs) == 0 {
		return dst, fmt.Errorf("etcd has no %s", key)
	}
	return append(dst[:0], r.Kvs[0].Value...), nil
}
