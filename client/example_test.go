package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pfs-project/pfs/api/apitest"
	"github.com/pfs-project/pfs/client"
	"github.com/pfs-project/pfs/plugins/memfs"
	"github.com/pfs-project/pfs/plugins/queuefs"
	"github.com/pfs-project/pfs/plugins/streamfs"
	"github.com/pfs-project/pfs/vfs"
)

// stage is a testing.TB for examples, which have none.
type stage struct {
	testing.TB
	ends []func()
}

// Helper does nothing.
func (s *stage) Helper() {}

// Context ends with the process.
func (s *stage) Context() context.Context { return context.Background() }

// Cleanup is for end.
func (s *stage) Cleanup(f func()) { s.ends = append(s.ends, f) }

// Fatal ends the example.
func (s *stage) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// Fatalf ends the example.
func (s *stage) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

// Errorf spoils the output.
func (s *stage) Errorf(f string, v ...any) { fmt.Printf(f+"\n", v...) }

func (s *stage) end() {
	for _, f := range slices.Backward(s.ends) {
		f()
	}
}

// play starts a node for an example.
func play() (ctx context.Context, url string, end func()) {
	s := &stage{}
	srv := apitest.Start(s, apitest.Config{Level: true,
		Plugins: []vfs.Plugin{memfs.Plugin(), queuefs.Plugin(), streamfs.Plugin()},
		Mounts:  map[string]string{"/memfs": "memfs", "/queuefs": "queuefs", "/streamfs": "streamfs"}})
	return s.Context(), srv.URL, s.end
}

func dialed(url string) *client.Client {
	c, err := client.New(client.Config{URLs: []string{url}})
	if err != nil {
		panic(err)
	}
	return c
}

func Example() {
	ctx, url, end := play()
	defer end()
	c, err := client.New(client.Config{
		URLs:  []string{url}, // of some nodes of one cluster; none: http://127.0.0.1:8080
		Token: os.Getenv("PFS_TOKEN"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	w, err := c.WriteFile(ctx, "/memfs/greeting", []byte("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := c.ReadFile(ctx, "/memfs/greeting")
	fmt.Println(string(b), err, w.ETag != "")
	// Output: hello <nil> true
}

func ExampleClient_FS() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	if err := c.Mkdir(ctx, "/memfs/site", 0o755); err != nil {
		fmt.Println(err)
	}
	for _, name := range []string{"index.html", "about.html", "logo.svg"} {
		if err := c.Create(ctx, "/memfs/site/"+name); err != nil {
			fmt.Println(err)
		}
	}
	site := c.FS(ctx, "/memfs/site") // for http.FileServerFS, template.ParseFS, fs.WalkDir…
	pages, err := fs.Glob(site, "*.html")
	fmt.Println(pages, err)
	// Output: [about.html index.html] <nil>
}

func ExampleClient_NewWriter() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	write := func(lines ...string) error {
		w := c.NewWriter(ctx, "/memfs/report")
		for _, l := range lines {
			if l == "" {
				w.Abort() // others see what was there before
				return errors.New("an empty line")
			}
			if _, err := fmt.Fprintln(w, l); err != nil {
				w.Abort()
				return err
			}
		}
		return w.Close() // now others see it
	}
	fmt.Println(write("all", "good"), write("half", ""))
	b, err := c.ReadFile(ctx, "/memfs/report")
	fmt.Printf("%q %v\n", b, err)
	// Output:
	// <nil> an empty line
	// "all\ngood\n" <nil>
}

func ExampleClient_NewAppender() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	log := c.NewAppender(ctx, "/memfs/log")
	defer log.Close()
	for i := range 3 {
		if _, err := fmt.Fprintf(log, "event %d\n", i); err != nil { // durable once it returns
			fmt.Println(err)
		}
	}
	b, err := c.ReadFile(ctx, "/memfs/log")
	fmt.Print(string(b), err)
	// Output:
	// event 0
	// event 1
	// event 2
	// <nil>
}

func ExampleClient_Update() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	add := func(item string) error {
		_, err := c.Update(ctx, "/memfs/list", func(old []byte) ([]byte, error) {
			if bytes.Contains(old, []byte(item)) {
				return nil, fs.ErrExist
			}
			return append(old, item+"\n"...), nil
		})
		return err
	}
	fmt.Println(add("milk"), add("bread"), errors.Is(add("milk"), fs.ErrExist))
	// Output: <nil> <nil> true
}

func ExampleIfMatch() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	first, err := c.WriteFile(ctx, "/memfs/plan", []byte("one"), client.IfAbsent())
	if err != nil {
		fmt.Println(err)
	}
	if _, err := c.WriteFile(ctx, "/memfs/plan", []byte("two"), client.IfMatch(first.ETag)); err != nil {
		fmt.Println(err)
	}
	_, err = c.WriteFile(ctx, "/memfs/plan", []byte("three"), client.IfMatch(first.ETag))
	var e *client.Error
	if errors.Is(err, client.ErrPrecondition) && errors.As(err, &e) {
		fmt.Println("somebody was faster:", e.Code, e.Status, e.ETag != "", e.RequestID != "")
	}
	// Output: somebody was faster: stale 412 true true
}

func ExampleClient_OpenHandle() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	h, err := c.OpenHandle(ctx, "/memfs/data", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	if _, err := h.WriteAt([]byte("hello, world"), 0); err != nil {
		fmt.Println(err)
	}
	if err := h.Truncate(5); err != nil {
		fmt.Println(err)
	}
	b, err := io.ReadAll(h)
	fmt.Println(string(b), err)
	// Output: hello <nil>
}

func ExampleClient_Work() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	for _, text := range []string{"resize 17", "resize 18", "stop"} {
		if _, err := c.Enqueue(ctx, "/queuefs/jobs", []byte(text)); err != nil {
			fmt.Println(err)
		}
	}
	resize := func(_ context.Context, text []byte) error { fmt.Printf("%s\n", text); return nil }

	for job, err := range c.Work(ctx, "/queuefs/jobs", client.WorkOptions{Lease: time.Minute}) {
		if errors.Is(err, client.ErrNoLeader) {
			continue // it passes; the loop asks again
		} else if err != nil {
			fmt.Println(err)
			break
		}
		if string(job.Data) == "stop" {
			break // it goes back to the queue: nobody has acked it
		}
		// The lease is extended meanwhile; the context ends with it.
		if err := resize(job.Context(), job.Data); err != nil {
			_, err = job.Nack(err.Error(), 10*time.Second) // again, in ten seconds
			fmt.Println(err)
			continue
		}
		if err := job.Ack(); err != nil {
			fmt.Println(err)
		}
	}
	s, err := c.QueueStats(ctx, "/queuefs/jobs")
	fmt.Println(s.Acked, "done,", s.Ready, "left", err)
	// Output:
	// resize 17
	// resize 18
	// 2 done, 1 left <nil>
}

func ExampleClient_Tail() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	if _, err := c.WriteFile(ctx, "/streamfs/tv", []byte("some bytes")); err != nil {
		fmt.Println(err)
	}
	tail, err := c.Tail(ctx, "/streamfs/tv", client.Oldest) // or the Offset that was kept
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tail.Close()
	b := make([]byte, 4)
	for range 2 {
		n, err := io.ReadFull(tail, b) // over lost connections and nodes
		var gap *client.Gap
		if errors.As(err, &gap) {
			fmt.Println("missed", gap.Oldest-gap.From, "bytes") // the next Read goes on
			continue
		}
		fmt.Printf("%q %v, next is %d\n", b[:n], err, tail.Offset())
	}
	// Output:
	// "some" <nil>, next is 4
	// " byt" <nil>, next is 8
}

func ExampleClient_Watch() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	if err := c.Create(ctx, "/memfs/config"); err != nil {
		fmt.Println(err)
	}
	for info, err := range c.Watch(ctx, "/memfs/config") {
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Println("gone")
			break
		} else if err != nil {
			continue // it passes
		}
		fmt.Println(info.Name, info.Size)
		if info.Size == 0 {
			_, err = c.WriteFile(ctx, "/memfs/config", []byte("a=1"))
		} else {
			err = c.Remove(ctx, "/memfs/config")
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// config 0
	// config 3
	// gone
}

func ExampleClient_Grep() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	if _, err := c.WriteFile(ctx, "/memfs/a.log", []byte("ok\nERROR disk\n")); err != nil {
		fmt.Println(err)
	}
	for m, err := range c.Grep(ctx, "/memfs", "error", client.GrepOptions{Recursive: true, IgnoreCase: true}) {
		if err != nil {
			fmt.Println(err) // not all was searched
			break
		}
		if strings.HasSuffix(m.File, ".log") {
			fmt.Printf("%s:%d: %s\n", m.File, m.Line, m.Content)
		}
	}
	// Output: /memfs/a.log:2: ERROR disk
}

func ExampleWithMinIndex() {
	ctx, url, end := play()
	defer end()
	writer, reader := dialed(url), dialed(url)
	if _, err := writer.WriteFile(ctx, "/memfs/f", []byte("new")); err != nil {
		fmt.Println(err)
	}
	// The index goes to another process, in whatever it is told.
	b, err := reader.ReadFile(client.WithMinIndex(ctx, writer.LastIndex()), "/memfs/f")
	fmt.Println(string(b), err)
	// Output: new <nil>
}

func ExampleClient_EnqueueBatch() {
	ctx, url, end := play()
	defer end()
	c := dialed(url)
	all, err := c.EnqueueBatch(ctx, "/queuefs/jobs", [][]byte{[]byte("a"), []byte("b")}, client.Delay(time.Hour))
	fmt.Println(len(all), err)
	// Output: 2 <nil>
}
