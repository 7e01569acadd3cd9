package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pfs-project/pfs/client"
)

// lend answers a take with n messages.
func lend(n int) (int, io.Reader, http.Header) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"id":"%d","data":"x","lease":"l%d"}`, i, i)
	}
	return 200, strings.NewReader("[" + b.String()[1:] + "]"), nil
}

// A node that hangs costs no lease: the next one is asked before they are over.
func TestWorkHangingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			switch {
			case strings.Contains(r.URL.RawQuery, "take"):
				return lend(5)
			case r.URL.Host == "n1":
				<-r.Context().Done()
			}
			return 200, strings.NewReader("{}"), nil
		}}
		for job, err := range f.dial(t, "n1", "n2").Work(t.Context(), "/q", client.WorkOptions{Max: 5, Lease: 12 * time.Second}) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute + time.Second)
			if err := job.Context().Err(); err != nil {
				t.Errorf("lost: %v", context.Cause(job.Context()))
			}
			break
		}
		if n := f.count("n2/api/v1/files?path=%2Fq%2Fextend"); n < 20 {
			t.Errorf("the other node was asked %d times", n)
		}
		if n := f.count("nack"); n != 5 {
			t.Errorf("%d of 5 were given back", n)
		}
	})
}

// To settle does not wait for an extension that hangs.
func TestWorkSettlesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
			switch {
			case strings.Contains(r.URL.RawQuery, "take"):
				return lend(1)
			case strings.Contains(r.URL.RawQuery, "extend"):
				<-r.Context().Done()
			}
			return 200, strings.NewReader("{}"), nil
		}}
		for job, err := range f.dial(t, "n1").Work(t.Context(), "/q", client.WorkOptions{Lease: time.Minute}) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(21 * time.Second) // an extension is under way since a second ago
			began := time.Now()
			if err := job.Ack(); err != nil || f.count("extend") != 1 || time.Since(began) != 0 {
				t.Errorf("%v after %v, %d extensions", err, time.Since(began), f.count("extend"))
			}
			break
		}
	})
}

// What was not handed out is given back in the time of one, and where nobody
// answers in none.
func TestWorkGivesBackInTime(t *testing.T) {
	for what, hangs := range map[string]bool{"hangs": true, "refuses": false} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(r *http.Request, _ int) (int, io.Reader, http.Header) {
				switch {
				case strings.Contains(r.URL.RawQuery, "take"):
					return lend(50)
				case hangs:
					<-r.Context().Done()
				}
				return 503, strings.NewReader(noLeader), nil
			}}
			began := time.Now()
			for _, err := range f.dial(t, "n1").Work(t.Context(), "/q", client.WorkOptions{Max: 50, Lease: time.Hour}) {
				if err != nil && !errors.Is(err, client.ErrNoLeader) {
					t.Fatal(err)
				}
				break
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: took %v", what, took)
			}
			if n := f.count("nack"); n < 1 || hangs && n != 1 {
				t.Errorf("%s: %d requests", what, n)
			}
		})
	}
}
