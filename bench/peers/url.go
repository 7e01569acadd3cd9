package peers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pfs-project/pfs/bench"
	"github.com/pfs-project/pfs/bench/target"
	"github.com/pfs-project/pfs/client"
)

// toClear is how long the removal of what a load wrote may take.
const toClear = 30 * time.Second

// AtURL is a server that runs already and speaks the compatible REST API, PFS or
// another. Loads work in a folder of their own below files, which Close removes.
func AtURL(url, files string) func(context.Context, Site) (*target.Target, error) {
	return func(ctx context.Context, s Site) (*target.Target, error) {
		urls := bench.Bases([]string{url})
		api, err := client.New(client.Config{URLs: urls, NoWait: true})
		if err != nil {
			return nil, err
		}
		dir := files + "/bench-peers-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		clear := func() error {
			defer api.Close()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), toClear)
			defer cancel()
			return api.RemoveAll(ctx, dir)
		}
		if err := api.Mkdir(ctx, dir, 0o755); err != nil {
			api.Close()
			return nil, fmt.Errorf("no place to work in at %s: %w", url, err)
		}
		t, err := bench.Server{URLs: urls, Files: dir}.Target(ctx, s.Clients)
		if err != nil {
			return nil, errors.Join(err, clear())
		}
		drop := t.Close
		t.Name, t.Close = t.Name+" at "+urls[0], func() error { return errors.Join(drop(), clear()) }
		return &t, nil
	}
}
