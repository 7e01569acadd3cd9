package fsm

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// The log of an earlier version folds into the state that it did then. Each
// line of the file is an entry, the last is the digest. The file is never
// written again: a new version adds one.
func TestGoldenLog(t *testing.T) {
	t.Run("v1", func(t *testing.T) { goldenLog(t, "testdata/v1.log") })
	t.Run("v2", func(t *testing.T) { goldenLog(t, "testdata/v2.log") }) // with a restore
}

func goldenLog(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := newRig(t, nil)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for index := uint64(1); lines.Scan(); index++ {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "events":
			r.Apply(&raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data})
		case "config":
			r.Apply(&raft.Log{Index: index, Term: 1, Type: raft.LogConfiguration, Data: data})
		case "digest":
			if d := r.digest(); hex.EncodeToString(d[:]) != text {
				t.Errorf("digest %x, was %s", d, text)
			}
			return
		}
	}
	t.Fatal("no digest", lines.Err())
}
