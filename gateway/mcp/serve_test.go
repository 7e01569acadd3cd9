package mcp_test

import (
	"context"
	"io"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/gateway/mcp"
)

// serve runs s on pipes, as standard input and output, with a client of the SDK at
// the other ends, by a version of the protocol, "" for the newest; both end with the
// test.
func serve(t *testing.T, s *mcp.Server, o *sdk.ClientOptions, protocol string) *sdk.ClientSession {
	t.Helper()
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, fromClient, toClient) }()
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, o).Connect(t.Context(),
		&sdk.IOTransport{Reader: fromServer, Writer: toServer}, &sdk.ClientSessionOptions{ProtocolVersion: protocol})
	t.Cleanup(func() {
		if c != nil {
			_ = c.Close() // it closes the server's input
		}
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Errorf("run: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
