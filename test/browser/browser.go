// Package browser drives a headless Chromium in tests: it opens pages, presses
// keys, asks the page's DOM and takes pictures, over the DevTools protocol.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// answerTime bounds every wait for the browser.
const answerTime = 60 * time.Second

// Page is one tab of a browser of its own.
type Page struct {
	Downloads string // the directory that they go to

	t       testing.TB
	in      *os.File
	session string

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	gone    error
}

// reply is one message of the browser: an answer, or an event.
type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Open starts Chromium, which ends with the test. It must be installed (Debian:
// chromium). It reaches no network but this machine's own.
func Open(t testing.TB) *Page {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: helpers of the browser may write there for a moment more.
	home, err := os.MkdirTemp("", "pfs-browser")
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--hide-scrollbars",
		"--user-data-dir="+home, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{inRead, outWrite} // its file descriptors 3 and 4
	cmd.Stderr = &told
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("the browser does not start (.ci/run installs it): %v", err)
	}
	inRead.Close()
	outWrite.Close()
	p := &Page{Downloads: filepath.Join(home, "downloads"), t: t, in: inWrite, waiting: map[int]chan reply{}}
	read := make(chan struct{})
	go func() { defer close(read); p.listen(outRead) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // all of its processes
		_ = cmd.Wait()                                      // it is killed
		inWrite.Close()
		<-read
		outRead.Close()
		_ = os.RemoveAll(home)
		if t.Failed() {
			t.Logf("the browser said: %.2000s", told.String())
		}
	})
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	p.call("Page.enable", nil, nil)
	p.call("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": p.Downloads}, nil)
	return p
}

// listen takes answers to those who wait for them.
func (p *Page) listen(out *os.File) {
	r := bufio.NewReaderSize(out, 1<<20)
	for {
		b, err := r.ReadBytes(0)
		var m reply
		if err == nil {
			err = json.Unmarshal(b[:len(b)-1], &m)
		}
		p.mu.Lock()
		if err != nil {
			p.gone = fmt.Errorf("the browser has ended: %w", err)
			for _, c := range p.waiting {
				close(c)
			}
			p.waiting = nil
			p.mu.Unlock()
			return
		}
		if c := p.waiting[m.ID]; c != nil {
			c <- m
			delete(p.waiting, m.ID)
		}
		p.mu.Unlock()
	}
}

// call has the browser do something and waits for its answer.
func (p *Page) call(method string, params map[string]any, out any) {
	p.t.Helper()
	if refused := p.try(method, params, out); refused != "" {
		p.t.Fatalf("%s: %s", method, refused)
	}
}

// try is call that returns why the browser does not do it.
func (p *Page) try(method string, params map[string]any, out any) (refused string) {
	p.t.Helper()
	c := make(chan reply, 1)
	p.mu.Lock()
	if p.gone != nil {
		p.mu.Unlock()
		p.t.Fatal(p.gone)
	}
	p.last++
	id := p.last
	p.waiting[id] = c
	p.mu.Unlock()
	ask := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		ask["params"] = map[string]any{}
	}
	if p.session != "" {
		ask["sessionId"] = p.session
	}
	b, err := json.Marshal(ask)
	if err == nil {
		_, err = p.in.Write(append(b, 0))
	}
	if err != nil {
		p.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok:
			p.t.Fatalf("%s: %v", method, p.gone)
		case m.Error != nil:
			return m.Error.Message
		case out != nil:
			if err := json.Unmarshal(m.Result, out); err != nil {
				p.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(answerTime):
		p.t.Fatalf("%s: no answer", method)
	}
	return ""
}

// View makes the window so many pixels wide and high, light or dark.
func (p *Page) View(width, height int, dark bool) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Visit opens an address and waits until the page is there.
func (p *Page) Visit(url string) {
	p.t.Helper()
	var out struct{ ErrorText string }
	var left bool
	p.Ask(`window.leaving = true`, &left) // what is asked next may still reach the page before
	p.call("Page.navigate", map[string]any{"url": url}, &out)
	if out.ErrorText != "" {
		p.t.Fatalf("%s: %s", url, out.ErrorText)
	}
	p.Until(`!window.leaving && document.readyState === "complete" && location.href !== "about:blank"`)
}

// Until waits until a JavaScript expression holds.
func (p *Page) Until(expr string) {
	p.t.Helper()
	for end := time.Now().Add(answerTime); ; time.Sleep(20 * time.Millisecond) {
		var r struct{ Result struct{ Value any } }
		// A page that goes while it is asked has no answer.
		refused := p.try("Runtime.evaluate", map[string]any{"expression": expr, "returnByValue": true}, &r)
		if ok, _ := r.Result.Value.(bool); ok && refused == "" {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("it never was so: %s", expr)
		}
	}
}

// Ask evaluates a JavaScript expression in the page and decodes its value. The
// browser runs it also where the page itself may run no script.
func (p *Page) Ask(expr string, out any) {
	p.t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expr, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s %s", expr, r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(r.Result.Value, out); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
}

// Press presses and releases a key: Tab or Enter.
func (p *Page) Press(key string) {
	p.t.Helper()
	k := map[string]any{"key": key, "code": key, "windowsVirtualKeyCode": 9, "type": "rawKeyDown"}
	if key == "Enter" {
		k["windowsVirtualKeyCode"], k["text"], k["type"] = 13, "\r", "keyDown"
	}
	p.call("Input.dispatchKeyEvent", k, nil)
	k["type"] = "keyUp"
	delete(k, "text")
	p.call("Input.dispatchKeyEvent", k, nil)
}

// Picture writes what the window shows as a PNG.
func (p *Page) Picture(file string) {
	p.t.Helper()
	var out struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png"}, &out)
	b, err := base64.StdEncoding.DecodeString(out.Data)
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
