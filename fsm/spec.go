package fsm

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// MountSpec is what a Mount Op asks for, beside its path.
type MountSpec struct {
	Type   string     `json:"type"`
	Config vfs.Config `json:"config,omitempty"`
	// Node is where a Pinned mount lives: by default the node that took the
	// request, which fills it in.
	Node string `json:"node,omitempty"`
	// Place and Verbs describe a mount of a type that is not compiled in: from
	// LibraryLevel on, as its library has them. 0 for all other types.
	Place vfs.Placement `json:"place,omitempty"`
	Verbs vfs.VerbSet   `json:"verbs,omitempty"`
	// Roams says that the mount may live on another node when its own is away:
	// one of a third-party plugin, whose node nobody has named. Move asks that the
	// mount which is there, with that number in the table, live on Node from now
	// on. Both from PlacementLevel on; 0 in what is kept.
	Roams bool   `json:"roams,omitempty"`
	Move  uint64 `json:"move,omitempty"`
	// Doc is the README that the mount starts with, for the verb Mount: nodes
	// of two releases may have two. It is not kept.
	Doc string `json:"doc,omitempty"`
	// FromFile marks a mount that a configuration file asks for.
	FromFile bool `json:"from_file,omitempty"`
}

// EncodeMount returns the Data of a Mount: JSON with sorted keys.
func EncodeMount(s MountSpec) []byte { return mustJSON(s) }

// DecodeMount reads what [EncodeMount] wrote.
func DecodeMount(data []byte) (MountSpec, error) {
	var s MountSpec
	if err := readJSON(data, &s); err != nil {
		return MountSpec{}, vfs.Invalid.With("mount: bad settings")
	}
	return s, nil
}

// FileMount is one mount that a configuration file asks for.
type FileMount struct {
	Path   vfs.Path
	Name   string // of the instance, for people
	Type   string
	Config vfs.Config
	Node   string // Pinned: where it lives; "" for this node
	Roams  bool   // Pinned: Node is as good as another
}

// Op returns the Op that mounts it, with a README.
func (f FileMount) Op(doc string) vfs.Op {
	return vfs.Op{Verb: vfs.Mount, Path: f.Path, Data: EncodeMount(MountSpec{
		Type: f.Type, Config: f.Config, Node: f.Node, Roams: f.Roams, Doc: doc, FromFile: true})}
}

// MoveOp returns the Op that has a mount live on another node from now on.
func MoveOp(m vfs.Mounted, node string) vfs.Op {
	return vfs.Op{Verb: vfs.Mount, Path: m.Path, Data: EncodeMount(MountSpec{Type: m.Type, Node: node, Move: m.Seq})}
}

// Masked is what people see in the place of a secret.
const Masked = "***"

// MaskConfig returns a copy of c with the values of secret parameters masked.
func MaskConfig(params []vfs.Param, c vfs.Config) vfs.Config {
	c, _ = c.MapSecrets(params, func(string, string) (string, error) { return Masked, nil }) // never fails
	return c
}

// mustJSON encodes a value that has no reason to fail; settings that JSON
// cannot hold become null, which every reader refuses.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return []byte("null")
	}
	return bytes.TrimSpace(b.Bytes())
}

// readJSON decodes like encoding/json, but keeps whole numbers whole.
func readJSON(data []byte, s *MountSpec) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(s); err != nil {
		return err
	}
	for k, v := range s.Config {
		s.Config[k] = plain(v)
	}
	return nil
}

// plain replaces the numbers in a decoded value by int64 where they are whole
// and fit, else by float64, as vfs.Config reads them.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return whole(f)
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// whole makes 1e3 and 1000 the same number.
func whole(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

// validType reports whether a type may stand in a row's key.
func validType(t string) bool {
	return t != "" && len(t) <= vfs.MaxName && !strings.ContainsAny(t, "\x00/")
}
