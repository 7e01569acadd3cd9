package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"github.com/zeebo/blake3"

	"github.com/pfs-project/pfs/vfs"
)

// Bounds of a batch: it is one Event.
const (
	maxBatch      = 256 << 10 // bytes
	maxBatchLines = 1000      // that are not empty
)

// storeBatch commits a body whose lines are things of their own as one Event,
// of as many Ops as its length needs.
func (c *call) storeBatch(m vfs.Mounted, op, rel vfs.Op, o vfs.Options, in *body) (change, int64, error) {
	text, ops, err := c.readBatch(op, o, in)
	if err != nil {
		return change{}, 0, err
	}
	ctx := c.within()
	defer ctx.End()
	a, err := c.propose(ctx, m, rel, blake3.Sum256(text), ops...)
	if err == nil {
		err = a.merge()
	}
	return a, int64(len(text)), err
}

// readBatch reads a body whose lines are things of their own, and cuts it.
func (c *call) readBatch(op vfs.Op, o vfs.Options, in *body) (text []byte, ops []vfs.Op, err error) {
	text, err = io.ReadAll(io.LimitReader(in, maxBatch+1))
	if herr := c.hold(len(text)); herr != nil && err == nil {
		err = herr
	}
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > maxBatch:
		return nil, nil, named(vfs.TooLarge.Withf("a batch may have %d bytes, send it in parts", maxBatch), "write", op.Path)
	}
	ops, err = batchOps(op, o, text)
	if err != nil {
		return nil, nil, named(err, "write", op.Path)
	}
	return text, ops, nil
}

// batchOps cuts the text at its lines into Ops.
func batchOps(op vfs.Op, o vfs.Options, text []byte) (ops []vfs.Op, err error) {
	line, lines := 0, 0
	for l := range bytes.Lines(text) {
		switch {
		case len(l) > vfs.MaxInline:
			return nil, vfs.TooLarge.Withf("line %d: a line of a batch may have %d bytes, send it alone", line+1, vfs.MaxInline)
		case len(bytes.TrimRight(l, "\r\n")) > 0:
			lines++
		}
		last := len(ops) - 1
		if last < 0 || len(ops[last].Data)+len(l) > vfs.MaxInline {
			o["line"] = strconv.Itoa(line)
			op.Target = o.Encode()
			ops = append(ops, op)
			last++
		}
		ops[last].Data = append(ops[last].Data, l...)
		line++
	}
	switch {
	case lines == 0:
		return nil, vfs.Invalid.With("a batch has at least one line")
	case lines > maxBatchLines:
		return nil, vfs.TooLarge.Withf("a batch may have %d lines, send it in parts", maxBatchLines)
	}
	return ops, nil
}

// merge makes one answer of what several Ops answered: lists are joined, and
// numbers added.
func (a *change) merge() error {
	results := a.out.Results
	if len(results) < 2 {
		return nil
	}
	lists, sums := map[string][]json.RawMessage{}, map[string]int64{}
	for _, r := range results {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(r.Data, &one); err != nil {
			return err
		}
		for name, v := range one { // any order: each has its own place
			var list []json.RawMessage
			if json.Unmarshal(v, &list) == nil {
				lists[name] = append(lists[name], list...)
			} else if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				sums[name] += n
			}
		}
	}
	all := map[string]any{}
	for name, list := range lists { // any order
		all[name] = list
	}
	for name, n := range sums { // any order
		all[name] = n
	}
	b, err := json.Marshal(all)
	results[len(results)-1].Data = b
	return err
}
