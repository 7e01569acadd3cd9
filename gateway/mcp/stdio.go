package mcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxMessageLine is how many bytes one message may have.
const maxMessageLine = 4 << 20

// drainTime is how long what was asked before the input ended may take.
const drainTime = 3 * time.Second

// Run serves one client that writes messages to in and reads answers from out, one
// a line, until in ends or ctx does. A line that is no message is answered with an
// error, and the next one is read. What was asked before the end is answered.
func (s *Server) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	defer s.watches.close()
	w := &lineWriter{w: out, idle: make(chan struct{}, 1)}
	r, feed := io.Pipe()
	go func() {
		err := sift(in, feed, w)
		if err == nil {
			w.drain(ctx)
		}
		feed.CloseWithError(err)
	}()
	defer r.Close() // ends the goroutine, once in has a line or its end
	err := s.sdk.Run(ctx, &sdk.IOTransport{Reader: r, Writer: w, MaxLineLength: -1})
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// sift passes on the lines that are messages and answers the others. nil is the end.
func sift(in io.Reader, to io.Writer, answers *lineWriter) error {
	br := bufio.NewReaderSize(in, 64<<10)
	for {
		line, long, err := readLine(br)
		if err != nil && err != io.EOF { // the rest of the line may be missing
			return err
		}
		trimmed := bytes.TrimSpace(line)
		if m, wrong := judge(trimmed, long); wrong != nil {
			if werr := answers.tell(wrong); werr != nil {
				return werr
			}
		} else if m != nil {
			answers.asked(m)
			if _, werr := to.Write(append(trimmed, '\n')); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine reads a line; of one that is too long, the start.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxMessageLine {
			long = true
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

// judge reads the message of a line, or answers one that has none; neither for an
// empty line.
func judge(line []byte, long bool) (m jsonrpc.Message, wrong *jsonrpc.Error) {
	e := &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest}
	switch {
	case long:
		e.Message = "message is longer than 4 MiB: write less at once"
	case len(line) == 0:
		return nil, nil
	case !json.Valid(line):
		e.Code, e.Message = jsonrpc.CodeParseError, "line is not JSON: send one message a line"
	case line[0] == '[':
		e.Message = "batches are no part of the protocol: send one message a line"
	default:
		m, err := jsonrpc.DecodeMessage(line)
		if err == nil {
			return m, nil
		}
		e.Message = "line is not a JSON-RPC message: " + clip(err.Error(), 200)
	}
	return nil, e
}

// lineWriter writes one message at a time, and knows how many answers are missing.
// It is not closed: stdout is not ours.
type lineWriter struct {
	mu      sync.Mutex
	w       io.Writer
	missing int
	idle    chan struct{} // something was answered
}

// asked counts a message that is to be answered.
func (l *lineWriter) asked(m jsonrpc.Message) {
	if r, ok := m.(*jsonrpc.Request); !ok || !r.IsCall() || r.Method == "subscriptions/listen" { // which lasts
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing++
}

// tell answers a line that was no message.
func (l *lineWriter) tell(e *jsonrpc.Error) error {
	b, err := json.Marshal(struct {
		Version string         `json:"jsonrpc"`
		ID      *int           `json:"id"`
		Error   *jsonrpc.Error `json:"error"`
	}{"2.0", nil, e})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.w.Write(append(b, '\n'))
	return err
}

// Write writes a whole message of the SDK.
func (l *lineWriter) Write(p []byte) (int, error) {
	m, err := jsonrpc.DecodeMessage(p)
	_, answers := m.(*jsonrpc.Response)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && answers {
		l.missing--
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
	return l.w.Write(p)
}

// drain waits until all is answered, but not for long.
func (l *lineWriter) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for l.left() > 0 {
		select {
		case <-l.idle:
		case <-ctx.Done():
			return
		}
	}
}

func (l *lineWriter) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing
}

// Close does nothing.
func (l *lineWriter) Close() error { return nil }
