// Package plugin makes a Go program a plugin of PFS that is called over HTTP. It
// does what the Go Plugin Framework asks of a program: it tells its capabilities,
// prints where it listens, answers /healthz and /shutdown, and keeps a lock file
// beside its socket.
package plugin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Kind is what a program is.
type Kind struct {
	Contract    string   // "fileSystem" or "dataProcessor"
	Type        string   // the type that mounts of it have
	Description string   // one line for people
	Schema      string   // JSON schema of its settings; "": any
	Verbs       []string // of a fileSystem: what it can do beside being read
	// Open returns what serves the contract, with the settings of the mount.
	Open func(settings json.RawMessage) (http.Handler, error)
}

// config is what the host starts the program with.
type config struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Idle    int64  `json:"idleTimeout"` // nanoseconds
	Configs []struct {
		Type string `json:"type"`
		Data string `json:"data"` // base64
	} `json:"configTypes"`
}

// Run is the whole main function of a plugin.
func Run(k Kind) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if len(os.Args) > 1 && os.Args[1] == "capabilities" {
		capabilities(k)
		return
	}
	if err := serve(k); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func capabilities(k Kind) {
	about := map[string]any{"type": k.Type, "description": k.Description}
	if k.Schema != "" {
		about["jsonSchema"] = []byte(k.Schema) // base64 in JSON
	}
	if len(k.Verbs) > 0 {
		about["verbs"] = k.Verbs
	}
	b, err := json.Marshal(map[string]any{"types": map[string]any{k.Contract: []any{about}}, "configTypes": []string{k.Type}})
	if err != nil {
		panic(err) // all of it are texts
	}
	fmt.Println(string(b))
}

func serve(k Kind) error {
	text := flag.String("config", "", "how to run, as JSON")
	flag.Parse()
	var c config
	if err := json.Unmarshal([]byte(*text), &c); err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if c.ID == "" || c.Type != "unix" && c.Type != "tcp" {
		return errors.New("--config: id and type are required")
	}
	settings := json.RawMessage("{}")
	for _, t := range c.Configs {
		if t.Type == k.Type {
			b, err := base64.StdEncoding.DecodeString(t.Data)
			if err != nil {
				return fmt.Errorf("configTypes: %w", err)
			}
			settings = b
		}
	}
	handler, err := k.Open(settings)
	if err != nil {
		return err
	}
	l, where, remove, err := listen(c)
	if err != nil {
		return err
	}
	defer remove()
	fmt.Println(where)
	return answer(l, handler, time.Duration(c.Idle))
}

// listen listens and returns how that is said.
func listen(c config) (l net.Listener, where string, remove func(), err error) {
	if c.Type == "tcp" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, "", nil, err
		}
		return l, l.Addr().String(), func() {}, nil
	}
	socket := "/tmp/" + c.ID + "-plugin.socket"
	if err := unlock(socket); err != nil {
		return nil, "", nil, err
	}
	if l, err = net.Listen("unix", socket); err != nil {
		return nil, "", nil, err
	}
	if err := os.WriteFile(socket+".lock", []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return nil, "", nil, err
	}
	return l, "http+unix://" + socket, func() { os.Remove(socket + ".lock") }, nil
}

// unlock removes what a process of the same id has left behind that is gone.
func unlock(socket string) error {
	if _, err := os.Stat(socket); err != nil {
		return nil
	}
	b, err := os.ReadFile(socket + ".lock")
	if err != nil {
		return fmt.Errorf("%s is there without a lock: %w", socket, err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return err
	}
	if syscall.Kill(pid, 0) == nil {
		return fmt.Errorf("still alive under pid %d", pid)
	}
	return errors.Join(os.Remove(socket), os.Remove(socket+".lock"))
}

// answer serves until it is told to stop, or nobody has asked for the time idle.
func answer(l net.Listener, handler http.Handler, idle time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var used atomic.Int64
	used.Store(time.Now().UnixNano())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/shutdown", func(http.ResponseWriter, *http.Request) { stop() })
	mux.Handle("/", handler)
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		used.Store(time.Now().UnixNano())
		mux.ServeHTTP(w, r)
	})}
	go func() {
		for ctx.Err() == nil {
			left := idle - time.Since(time.Unix(0, used.Load()))
			if idle > 0 && left <= 0 {
				stop()
			}
			select {
			case <-ctx.Done():
			case <-time.After(max(left, time.Second)):
			}
		}
		within, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(within)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Error is an answer that is no success.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error returns the message.
func (e Error) Error() string { return e.Message }

// The errors that a plugin needs. Others are answered with 500.
var (
	NotFound = Error{404, "not_found", "not found"}
	Exists   = Error{409, "exists", "already exists"}
	NotDir   = Error{400, "not_dir", "not a directory"}
	IsDir    = Error{400, "is_dir", "is a directory"}
	NotEmpty = Error{409, "not_empty", "not empty"}
	ReadOnly = Error{403, "read_only", "read-only"}
	Invalid  = Error{400, "invalid", "invalid argument"}
	TooLarge = Error{413, "too_large", "too large"}
)

// Fail answers an error.
func Fail(w http.ResponseWriter, err error) {
	var e Error
	if !errors.As(err, &e) {
		e = Error{500, "io", strings.TrimSpace(err.Error())}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	json.NewEncoder(w).Encode(e)
}
