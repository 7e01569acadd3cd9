package streamfs

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
	"github.com/pfs-project/pfs/vfs/tree"
)

//go:embed README.rotate.md
var rotateReadme string

const (
	rotateType = "streamrotatefs"

	rowFile = 'r' // file -> output: what the stream is written to beside itself
)

// rotation is how streams are written to files as well.
type rotation struct {
	dir      vfs.Path
	pattern  string
	size     int64         // bytes of a file; 0: no limit
	interval time.Duration // from its first byte on; 0: no limit
	spool    int64         // bytes that may wait for a mount outside the log
}

// Rotating is a streamfs whose streams are also written to files.
type Rotating struct {
	*FS
	to rotation
}

var (
	_ vfs.Follower = (*Rotating)(nil)
	_ vfs.Echoer   = (*Rotating)(nil)
	_ vfs.Shipper  = (*Rotating)(nil)
	_ vfs.Timer    = (*Rotating)(nil)
	_ vfs.Leveled  = (*Rotating)(nil)
)

// RotatePlugin returns streamrotatefs: streams that are written, in the same
// Event, to files in other mounts, a new one after so many bytes or so much
// time. Files of mounts outside the log are written there when they are complete.
func RotatePlugin() vfs.Plugin {
	p := vfs.Plugin{
		Type: rotateType, Doc: rotateReadme, Since: 9, Verbs: verbs,
		Params: append(params(),
			vfs.Param{Name: "output_path", Type: "string", Required: true, Description: "directory that the files go to"},
			vfs.Param{Name: "filename_pattern", Type: "string", Default: defaultPattern, Description: "name of a file: {channel} {timestamp} {date} {time} {datetime} {index}"},
			vfs.Param{Name: "rotation_size", Type: "size", Default: "100MB", Description: "a file has at most so many bytes, unless one write has more; empty or 0: any"},
			vfs.Param{Name: "rotation_interval", Type: "duration", Description: "a file takes bytes for so long; empty or 0: for ever"},
		),
	}
	early := p.Params
	p.Params = append(early[:len(early):len(early)], vfs.Param{Name: "spool_size", Type: "size", Default: "1GB",
		Description: "bytes that may wait to be written to a mount outside the log"})
	p.Later = func(c vfs.Config) (uint64, error) {
		if since, before := later(c, early); since > 0 {
			return since, before
		}
		if _, ok := c["spool_size"]; !ok {
			return 0, nil
		}
		return spoolLevel, c.Check(early)
	}
	p.Place = func(c vfs.Config) (vfs.Placement, error) {
		_, _, err := rotating(c, p.Params)
		return vfs.Replicated, err
	}
	p.New = func(env vfs.Env, c vfs.Config) (vfs.FileSystem, error) {
		n, to, err := rotating(c, p.Params)
		if err != nil {
			return nil, err
		}
		names, err := tree.New(tree.Options{Type: p.Type, Verbs: p.Verbs, Readme: true, Parents: true, Freed: freedRotating})
		if err != nil {
			return nil, err
		}
		return &Rotating{&FS{names, env.Chunks, n, to.describe}, to}, nil
	}
	return p
}

const defaultPattern = "{channel}_{timestamp}.dat"

// rotating reads the settings.
func rotating(c vfs.Config, params []vfs.Param) (n int64, to rotation, err error) {
	if err := c.Check(params); err != nil {
		return 0, to, err
	}
	if n, err = ring(c); err != nil {
		return 0, to, err
	}
	dir, err := c.String("output_path", "")
	if err != nil {
		return 0, to, err
	}
	if !strings.HasPrefix(dir, "/") {
		return 0, to, vfs.Invalid.With("output_path must start with /")
	}
	if to.dir, err = tree.ParsePath(dir); err != nil {
		return 0, to, err
	}
	if to.pattern, err = c.String("filename_pattern", defaultPattern); err != nil {
		return 0, to, err
	}
	if to.pattern == "" {
		to.pattern = defaultPattern
	}
	if c["rotation_size"] != "" {
		if to.size, err = c.Size("rotation_size", 100<<20); err != nil || to.size < 0 {
			return 0, to, vfs.Invalid.With("rotation_size must be a size such as 100MB")
		}
	}
	if c["rotation_interval"] != "" {
		if to.interval, err = c.Duration("rotation_interval", 0); err != nil {
			return 0, to, err
		}
	}
	if to.spool, err = c.Size("spool_size", 1<<30); err != nil || to.spool <= 0 {
		return 0, to, vfs.Invalid.With("spool_size must be a size such as 1GB")
	}
	_, err = to.name("/channel", 1, time.Unix(0, 0), "")
	return n, to, err
}

// name returns the path of a file; a name that the last one had, but for its
// index, gets the index.
func (to rotation) name(stream vfs.Path, index uint64, now time.Time, last vfs.Path) (vfs.Path, error) {
	now = now.UTC()
	channel := strings.ReplaceAll(strings.TrimPrefix(string(stream), "/"), "/", "_")
	number := fmt.Sprintf("%06d", index)
	text := strings.NewReplacer("{channel}", channel, "{timestamp}", strconv.FormatInt(now.Unix(), 10),
		"{date}", now.Format("20060102"), "{time}", now.Format("150405"),
		"{datetime}", now.Format("20060102_150405"), "{index}", number).Replace(to.pattern)
	p, err := vfs.ParsePath(string(to.dir) + "/" + text)
	if err != nil || p == to.dir || !p.Under(to.dir) {
		return "", vfs.Invalid.Withf("filename_pattern %.64q gives no name below output_path", to.pattern)
	}
	if p == last || last == p+vfs.Path(fmt.Sprintf("_%06d", index-1)) {
		p += vfs.Path("_" + number)
	}
	return p, nil
}

// output is the file that a stream is written to now.
type output struct {
	index uint64 // from 1
	size  int64  // bytes so far
	since int64  // of its first byte, in Unix nanoseconds
	path  vfs.Path
}

func findOutput(v vfs.View, file uint64) (o output) {
	b, ok := v.Get(key(rowFile, file))
	if !ok {
		return o
	}
	if len(b) < 1+3*8 || b[0] != format {
		panic(corrupt())
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	return output{n(0), int64(n(1)), int64(n(2)), vfs.Path(b[1+3*8:])}
}

func (o output) put(tx vfs.Tx, file uint64) {
	b := []byte{format}
	for _, n := range []uint64{o.index, uint64(o.size), uint64(o.since)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	tx.Put(key(rowFile, file), append(b, o.path...))
}

// Echo has what was written to a stream written to its file, a new one if this
// one would get too long or is too old.
func (f *Rotating) Echo(tx vfs.Tx, op vfs.Op, r vfs.Result) ([]vfs.Op, error) {
	if op.Size() == 0 {
		return nil, nil
	}
	o, now := findOutput(tx, r.File), tx.Now()
	full := f.to.size > 0 && o.size > 0 && o.size+op.Size() > f.to.size
	old := f.to.interval > 0 && now.Sub(time.Unix(0, o.since)) >= f.to.interval
	if o.index == 0 || full || old {
		stream, _ := f.PathOf(tx, r.File)
		p, err := f.to.name(stream, o.index+1, now, o.path)
		if err != nil {
			return nil, err
		}
		complete(tx, spoolID(r.File, o.index))
		o = output{index: o.index + 1, since: now.UnixNano(), path: p}
	}
	o.size += op.Size()
	o.put(tx, r.File)
	return []vfs.Op{{Verb: vfs.Write, Path: o.path, Flag: vfs.FlagCreate, Off: vfs.AtEnd, Data: op.Data, Refs: op.Refs}}, nil
}

// describe adds what stat says of a stream that is written to files.
func (to rotation) describe(v vfs.View, i *vfs.Info) {
	o := findOutput(v, i.ID)
	i.Meta.Type = "rotate-stream"
	i.Meta.Content["current_file"] = string(o.path)
	i.Meta.Content["current_file_size"] = strconv.FormatInt(o.size, 10)
	i.Meta.Content["rotation_file_idx"] = strconv.FormatUint(o.index, 10)
	i.Meta.Content["rotation_threshold"] = strconv.FormatInt(to.size, 10)
	if n := held(v); n > 0 { // of all streams of the mount
		i.Meta.Content["spooled"] = strconv.FormatInt(n, 10)
	}
}

// freedRotating is freed, for a stream with files; those stay.
func freedRotating(tx vfs.Tx, file uint64) {
	freed(tx, file)
	complete(tx, spoolID(file, findOutput(tx, file).index))
	tx.Delete(key(rowFile, file))
}
