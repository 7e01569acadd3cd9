package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"github.com/pfs-project/pfs/vfs"
)

// maxFile bounds a file with a secret, in bytes.
const maxFile = 64 << 10

// Box seals and reveals the settings of mounts. The zero value has no key yet:
// it reveals references only. Safe for concurrent use.
type Box struct{ key atomic.Pointer[Key] }

// SetKey gives the box its key.
func (b *Box) SetKey(k Key) { b.key.Store(&k) }

// Seal returns c with its inline secrets sealed, for the log. Without a key,
// inline secrets are Unavailable.
func (b *Box) Seal(p vfs.Plugin, c vfs.Config) (vfs.Config, error) {
	return c.MapSecrets(p.Params, func(name, value string) (string, error) {
		if vfs.IsSecretRef(value) {
			return value, nil
		}
		key := b.key.Load()
		if key == nil {
			return "", vfs.Unavailable.With("this node has no key to seal secrets with yet; try again")
		}
		return key.seal(purpose(p, name), value), nil
	})
}

// Reveal returns c with its secrets in the clear, for the plugin on this node
// alone. The error names the setting and what is wrong with it.
func (b *Box) Reveal(p vfs.Plugin, c vfs.Config) (vfs.Config, error) {
	return c.MapSecrets(p.Params, func(name, value string) (string, error) {
		text, err := b.resolve(purpose(p, name), value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return text, nil
	})
}

func purpose(p vfs.Plugin, name string) string { return p.Type + "." + name }

func (b *Box) resolve(purpose, value string) (string, error) {
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		text, ok := os.LookupEnv(name)
		if !ok {
			return "", errors.New("the environment variable that it names is not set on this node")
		}
		return text, nil
	}
	if path, ok := strings.CutPrefix(value, "file:"); ok {
		return readFile(path)
	}
	if !strings.HasPrefix(value, Prefix) {
		return value, nil
	}
	key := b.key.Load()
	if key == nil {
		return "", errors.New("this node has no key yet")
	}
	return key.open(purpose, value)
}

// readFile returns the text of a file without the newline at its end.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", hidden(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", hidden(err)
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("the file that it names is longer than %d bytes", maxFile)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// hidden leaves the path out: what somebody took for one may be the secret.
func hidden(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("the file that it names cannot be read on this node: %w", err)
}
