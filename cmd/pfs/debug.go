package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
	"github.com/pfs-project/pfs/cluster"
	"github.com/pfs-project/pfs/vfs"
)

func (a *app) debug() *cobra.Command {
	c := &cobra.Command{Use: "debug", Short: "Look into the files of a node that does not run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.logDump())
	return c
}

func (a *app) logDump() *cobra.Command {
	var d dump
	c := &cobra.Command{Use: "log-dump --data-dir DIR", Short: "Print the raft log as JSON lines", Args: cobra.NoArgs,
		Long: `Prints the raft log in a node's data directory, one JSON object a line: one for
each event, in order, and one for each entry that holds none. The node must not
run; a copy of the directory raft/ in DIR will do. Nothing is changed. An entry
that cannot be read is a line with "error"; the exit code is then 1.

Numbers of events are not in the log: they are given when it is applied. What
the log no longer holds is in the state alone.`,
		Example: "  pfs debug log-dump --data-dir ./pfs-data --from 1000 | grep '\"key\":\"order-17\"'",
		RunE: func(*cobra.Command, []string) error {
			if d.dir == "" {
				return cli.Usage("--data-dir is missing")
			}
			return d.run(a)
		}}
	c.Flags().StringVar(&d.dir, "data-dir", "", "data directory `DIR` of the node")
	c.Flags().Uint64Var(&d.from, "from", 0, "begin at the entry with this `INDEX`")
	c.Flags().BoolVar(&d.data, "data", false, "with the content of writes, which may be private")
	return c
}

// dump is one run of log-dump.
type dump struct {
	dir     string
	from    uint64
	data    bool
	damaged int // entries
}

// The lines of log-dump.
type (
	logLine struct {
		Index   uint64    `json:"index"`
		Term    uint64    `json:"term,omitempty"`
		Type    string    `json:"type,omitempty"`  // event, configuration, noop, barrier
		Event   *int      `json:"event,omitempty"` // its place in the entry
		Time    string    `json:"time,omitempty"`
		Key     string    `json:"key,omitempty"`
		Ops     []logOp   `json:"ops,omitempty"`
		Servers []logPeer `json:"servers,omitempty"`
		Error   string    `json:"error,omitempty"`
	}
	logOp struct {
		Verb   string   `json:"verb"`
		Path   vfs.Path `json:"path"`
		To     vfs.Path `json:"to,omitempty"`
		Target string   `json:"target,omitempty"`
		Mount  uint64   `json:"mount,omitempty"`
		File   uint64   `json:"file,omitempty"`
		Offset *int64   `json:"offset,omitempty"` // absent: at the end
		Flags  vfs.Flag `json:"flags,omitempty"`
		If     *logIf   `json:"if,omitempty"`
		Size   int64    `json:"size,omitempty"`
		Data   string   `json:"data,omitempty"`
		Hex    string   `json:"data_hex,omitempty"` // not UTF-8
		Refs   []logRef `json:"refs,omitempty"`
	}
	logIf struct {
		Absent  bool   `json:"absent,omitempty"`
		Exists  bool   `json:"exists,omitempty"`
		Version uint64 `json:"version,omitempty"`
	}
	logRef struct {
		Hash   string `json:"hash"`
		Offset uint32 `json:"offset,omitempty"`
		Length uint32 `json:"length"`
	}
	logPeer struct {
		ID      string `json:"id"`
		Address string `json:"address"`
		Role    string `json:"role"`
	}
)

func (d *dump) run(a *app) error {
	w := bufio.NewWriter(a.Stdout)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := cluster.ReadLog(d.dir, d.from, func(e cluster.LogEntry) error {
		for _, l := range d.lines(e) {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, w.Flush()); err == nil && d.damaged > 0 {
		err = fmt.Errorf("%d entries cannot be read", d.damaged)
	}
	return err
}

// lines are what there is to say of one entry.
func (d *dump) lines(e cluster.LogEntry) []logLine {
	head := logLine{Index: e.Index, Term: e.Term, Type: e.Type}
	if e.Err != nil {
		d.damaged++
		head.Error = e.Err.Error()
		return []logLine{head}
	}
	for _, s := range e.Servers {
		head.Servers = append(head.Servers, logPeer{string(s.ID), string(s.Address), s.Suffrage.String()})
	}
	if e.Type != "command" {
		head.Time = stampText(e.Appended)
		return []logLine{head}
	}
	out := make([]logLine, len(e.Events))
	for i, ev := range e.Events {
		out[i] = head
		out[i].Type, out[i].Event, out[i].Key, out[i].Time = "event", &i, ev.Key, stampText(ev.Time)
		for _, op := range ev.Ops {
			out[i].Ops = append(out[i].Ops, d.op(op))
		}
	}
	return out
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// plainVerbs names the verbs that share the words of another one.
var plainVerbs = map[vfs.Verb]string{
	vfs.RemoveAll: "remove_all", vfs.Consume: "consume", vfs.Stage: "stage", vfs.Commit: "commit",
}

func (d *dump) op(op vfs.Op) logOp {
	l := logOp{Verb: op.Verb.String(), Path: op.Path, To: op.To, Target: op.Target, Mount: op.Mount, File: op.File,
		Flags: op.Flag, Size: op.Size()}
	if name, ok := plainVerbs[op.Verb]; ok {
		l.Verb = name
	}
	if op.Verb == vfs.Truncate || op.Verb == vfs.Write && op.Off != vfs.AtEnd {
		l.Offset = &op.Off
	}
	if op.If.Kind != vfs.Always {
		l.If = &logIf{op.If.Kind == vfs.IfAbsent, op.If.Kind == vfs.IfExists, op.If.Version}
	}
	for _, r := range op.Refs {
		l.Refs = append(l.Refs, logRef{hex.EncodeToString(r.Hash[:]), r.Off, r.Len})
	}
	switch {
	case !d.data:
	case utf8.Valid(op.Data):
		l.Data = string(op.Data)
	default:
		l.Hex = hex.EncodeToString(op.Data)
	}
	return l
}
