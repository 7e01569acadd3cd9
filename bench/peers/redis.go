package peers

import (
	"context"
	"errors"
	"net"
	"path/filepath"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/pfs-project/pfs/bench/target"
)

// StartRedis starts a Redis that syncs each write before it answers.
func StartRedis(ctx context.Context, s Site) (*target.Target, error) {
	ver, err := version(ctx, "v=", "redis-server", "--version")
	if err != nil {
		return nil, err
	}
	addrs, free, err := hold(1)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addrs[0])
	c, err := start(ctx, filepath.Join(s.Dir, "redis"), "redis-server", "--bind", host, "--port", port,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxclients", "10000")
	if err != nil {
		free()
		return nil, err
	}
	kv := &redisKV{pool: redis.NewClient(&redis.Options{Addr: addrs[0], PoolSize: s.Clients + 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})}
	end := func() error {
		defer free()
		var errs []error
		for _, c := range kv.conns {
			errs = append(errs, c.Close())
		}
		return errors.Join(append(errs, kv.pool.Close(), c.Stop(toEnd))...)
	}
	if err := ready(ctx, c, func(ctx context.Context) error { return kv.pool.Ping(ctx).Err() }); err != nil {
		return nil, errors.Join(err, end())
	}
	for range s.Clients {
		kv.conns = append(kv.conns, kv.pool.Conn())
	}
	return &target.Target{Name: "Redis", Version: ver, Nodes: 1,
		Durability: "in the append-only file with fdatasync (appendfsync always), of one server",
		KV:         kv, Queue: kv, Groups: children{c}.groups(), Close: end}, nil
}

// redisKV is one connection for each client. Its queue is a list.
type redisKV struct {
	pool  *redis.Client
	conns []*redis.Conn
}

// Put implements target.KV.
func (r *redisKV) Put(ctx context.Context, client int, key string, value []byte) error {
	return r.conns[client].Set(ctx, key, value, 0).Err()
}

// Get implements target.KV.
func (r *redisKV) Get(ctx context.Context, client int, key string, dst []byte) ([]byte, error) {
	b, err := r.conns[client].Get(ctx, key).Bytes()
	return append(dst[:0], b...), err
}

// Enqueue implements target.Queue.
func (r *redisKV) Enqueue(ctx context.Context, client int, body []byte) error {
	return r.conns[client].LPush(ctx, "queue", body).Err()
}

// Dequeue implements target.Queue.
func (r *redisKV) Dequeue(ctx context.Context, client int) ([]byte, error) {
	b, err := r.conns[client].RPop(ctx, "queue").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return b, err
}
