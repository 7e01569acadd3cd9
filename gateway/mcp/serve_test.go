package mcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

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

// A line of which the rest could not be read is no message, not even a wrong one.
func TestHalfALine(t *testing.T) {
	s, err := mcp.New(mcp.Config{Root: "/", Local: true})
	if err != nil {
		t.Fatal(err)
	}
	for end, answer := range map[error]bool{io.EOF: true, errors.New("it broke"): false} {
		var out bytes.Buffer
		err := s.Run(t.Context(), io.MultiReader(strings.NewReader(`{"jsonrpc":"2.0"`), iotest.ErrReader(end)), &out)
		if got := strings.Contains(out.String(), "not JSON"); got != answer || (err == nil) != answer {
			t.Errorf("%v: %v, %q", end, err, out.String())
		}
	}
}
