package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/pfs-project/pfs/test/harness"
)

// peerOnesOwn has files that are an item's alone, and streams that forget.
func peerOnesOwn(p *peer) {
	peerHeartbeat(p)
	peerStreamHandle(p)
}

// peerStreamHandle reads a stream through a handle: what is forgotten is told,
// and never other bytes in its place.
func peerStreamHandle(p *peer) {
	at := p.dir + "-s"
	p.mount("streamfs", at, `{"buffer_size":"64KB"}`)
	const piece = 32 << 10
	for i := range 8 {
		p.put(at+"/tv", strings.Repeat(fmt.Sprint(i), piece))
	}
	h := p.open(at+"/tv", "")
	for _, off := range []int{0, piece, 5 * piece} {
		if a := p.want(416, "GET", fmt.Sprintf("%s/read?offset=%d&size=10", h, off), ""); !strings.Contains(a.body, fmt.Sprint("the oldest is ", 6*piece)) {
			p.Errorf("offset %d: %s", off, a.body)
		}
	}
	for off, want := range map[int]string{6 * piece: "6666666666", 7*piece - 5: "6666677777", 8*piece - 5: "77777", 8 * piece: ""} {
		if a := p.want(200, "GET", fmt.Sprintf("%s/read?offset=%d&size=10", h, off), ""); a.body != want {
			p.Errorf("offset %d reads %q, expected %q", off, a.body, want)
		}
	}
	p.want(200, "DELETE", h, "")
}

// peerSessionLimit opens sessions of sqlfs2 and leaves them: there are not more
// than so many, and they end by themselves.
func peerSessionLimit(p *peer) {
	at := p.dir + "-sql"
	p.mount("sqlfs2", at, fmt.Sprintf(`{"db_path":%q,"session_timeout":"40s"}`, filepath.Join(p.TempDir(), "db")))
	opened, refused := 0, answer{}
	for refused.status == 0 && opened < 1000 {
		a, err := p.patient("GET", "/files?path="+at+"/ctl", "")
		if err != nil {
			p.Fatal(err)
		}
		if opened++; a.status != 200 {
			refused = a
		}
	}
	if refused.status != 429 || !strings.Contains(refused.body, "close one") {
		p.Errorf("session %d: %d %s", opened, refused.status, refused.body)
	}
	if !harness.Poll(3*time.Minute, func() bool { return len(p.names(at)) < 10 }) {
		p.Errorf("left: %d names", len(p.names(at)))
	}
	p.want(200, "GET", "/files?path="+at+"/ctl", "")
}
