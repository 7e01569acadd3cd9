package verbs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// keys are the keys of a mount of kvfs.
type keys struct {
	*app
	mount string
}

func (a *app) kv() *cobra.Command {
	k := &keys{app: a}
	c := &cobra.Command{Use: "kv", Short: "Keys and values: get, put, del, list",
		Long: `Reads and changes the keys of a kvfs mount. A key is a name with or without slashes;
its value is the file MOUNT/keys/KEY, which all other commands take as well.

  pfs kv put config/limit 10
  pfs kv get config/limit`}
	c.PersistentFlags().StringVar(&k.mount, "mount", "/kvfs", "the mount of kvfs")
	c.AddCommand(k.get(), k.put(), k.del(), k.list())
	for _, sub := range c.Commands() {
		sub.PreRunE = func(*cobra.Command, []string) error { return cli.Named(k.mount) }
	}
	return c
}

// file is the file of a key.
func (k *keys) file(key string) string {
	return path.Join(k.Remote(k.mount), "keys", path.Clean("/"+key))
}

func (k *keys) get() *cobra.Command {
	return &cobra.Command{Use: "get key", Short: "Write the value of a key to stdout", Args: cobra.ExactArgs(1),
		Long: "Writes the value as it is, without a line end of its own. Exit code 4 if there is no such key.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.With(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.Open(ctx, k.file(args[0]))
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = io.Copy(k.Stdout, r)
				return err
			})
		}}
}

func (k *keys) put() *cobra.Command {
	var ifMatch string
	var ifAbsent bool
	var ttl time.Duration
	c := &cobra.Command{Use: "put key value", Short: "Set the value of a key; - is stdin", Args: cobra.ExactArgs(2),
		SuggestFor: []string{"set"},
		Long: `Sets the value of a key. Without --ttl the key stays for ever, also one that was to
end. Exit code 6 says that the value is not the one that --if-match or --if-absent ask
for: of several writers one wins.`,
		Example: "  pfs kv put config/limit 10\n  pfs kv put lock $HOSTNAME --if-absent --ttl 30s\n  pfs kv put page - < notes.txt"}
	c.Flags().StringVar(&ifMatch, "if-match", "", "only if the key still has this ETag")
	c.Flags().BoolVar(&ifAbsent, "if-absent", false, "only if there is no such key")
	c.Flags().DurationVar(&ttl, "ttl", 0, "the key ends after this time")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if ifMatch != "" && ifAbsent {
			return cli.Usage("--if-match and --if-absent exclude each other")
		}
		var opts []client.Option
		if ifMatch != "" {
			opts = append(opts, client.IfMatch(ifMatch))
		}
		if ifAbsent {
			opts = append(opts, client.IfAbsent())
		}
		if ttl > 0 {
			opts = append(opts, client.TTL(ttl))
		}
		return k.With(cmd, func(ctx context.Context, c *client.Client) error {
			w, err := k.set(ctx, c, k.file(args[0]), args[1], opts)
			if err == nil && k.JSON() {
				return k.Encode(withETag(w))
			}
			return err
		})
	}
	return c
}

// set sets a value.
func (k *keys) set(ctx context.Context, c *client.Client, file, value string, opts []client.Option) (client.Written, error) {
	if value == "-" {
		w, _, err := k.send(ctx, c, "-", file, opts...)
		return w, err
	}
	return c.WriteFile(ctx, file, []byte(value), opts...)
}

func (k *keys) del() *cobra.Command {
	return &cobra.Command{Use: "del key…", Short: "Delete keys", Args: cobra.MinimumNArgs(1), SuggestFor: []string{"rm", "delete", "unset"},
		Long: "Deletes keys. One that is not there is exit code 4. All below a prefix: pfs rm -r MOUNT/keys/PREFIX.",
		RunE: func(cmd *cobra.Command, args []string) error {
			files := make([]string, len(args))
			for i, key := range args {
				files[i] = k.file(key)
			}
			return k.Each(cmd, files, func(ctx context.Context, c *client.Client, p string) error { return c.Remove(ctx, p) })
		}}
}

func (k *keys) list() *cobra.Command {
	return &cobra.Command{Use: "list [prefix]", Short: "List keys, all those in a directory of keys", Aliases: []string{"ls"}, Args: cobra.MaximumNArgs(1),
		Long: "Lists the keys, or those below a prefix that ends at a slash, one a line.",
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = strings.Trim(path.Clean("/"+args[0]), "/")
			}
			return k.With(cmd, func(ctx context.Context, c *client.Client) error {
				found := []string{}
				err := k.below(ctx, c, prefix, func(key string) error {
					if k.JSON() {
						found = append(found, key)
						return nil
					}
					k.Printf("%s\n", cli.Plain(key))
					return nil
				})
				if err == nil && k.JSON() {
					return k.Encode(found)
				}
				return err
			})
		}}
}

// below tells of each key below a prefix, in the order of names.
func (k *keys) below(ctx context.Context, c *client.Client, prefix string, tell func(key string) error) error {
	for i, err := range c.Entries(ctx, k.file(prefix)) {
		if errors.Is(err, fs.ErrNotExist) && prefix != "" {
			return nil // no key is below it, or it went meanwhile
		}
		if err != nil {
			return err
		}
		key := path.Join(prefix, i.Name)
		if i.IsDir && !i.IsLink() {
			err = k.below(ctx, c, key, tell)
		} else {
			err = tell(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
