package shell

import (
	"strings"
	"sync"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/client"
)

// pool are clients that all commands share, so that each sees what those before it
// have written.
type pool struct {
	mu sync.Mutex
	by map[string]*client.Client // by their nodes, and what those are shown and trusted by
}

// connect returns the client of nodes.
func (p *pool) connect(s cli.Server, config client.Config) (*client.Client, error) {
	key := strings.Join([]string{strings.Join(config.URLs, ","), config.Token, s.CACert, s.Cert, s.Key}, "\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.by[key]; c != nil {
		return c, nil
	}
	c, err := client.New(config)
	if err == nil {
		p.by[key] = c
	}
	return c, err
}

// close gives connections back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.by {
		c.Close()
	}
}
