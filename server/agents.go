package server

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/gateway/mcp"
)

// openAgents returns what answers agents at /mcp, which reaches the tree through the
// node's own API as they could; nil if it is off.
func openAgents(c MCPConfig, files *client.Client, log *slog.Logger) (http.Handler, error) {
	if !c.Enabled {
		return nil, nil
	}
	s, err := mcp.New(mcp.Config{Client: files, Root: c.Root, ReadOnly: c.ReadOnly, Version: version, Log: log})
	if err != nil {
		return nil, fmt.Errorf("mcp.root: %w", err)
	}
	return s, nil
}
