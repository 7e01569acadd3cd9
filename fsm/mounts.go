package fsm

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// record is a mount as the state holds it.
type record struct {
	ID    uint64        `json:"id"` // seq of the Event that first mounted it
	Seq   uint64        `json:"seq"`
	Time  int64         `json:"time"`
	Place vfs.Placement `json:"place"`
	// Folded says that the plugin has folded the verb Mount into the state
	// under the id; it never does twice.
	Folded bool      `json:"folded,omitempty"`
	Spec   MountSpec `json:"spec"`
}

// mount folds a Mount: the settings are checked, an unmounted mount of the
// same path and type comes back with its state, and a new one starts with the
// verb Mount. Version of the Result is the number of the Event that mounted
// it, File is the mount's id.
func (e *event) mount(op vfs.Op) (vfs.Result, error) {
	spec, err := DecodeMount(op.Data)
	if err != nil {
		return vfs.Result{}, err
	}
	if err := mountPath(op.Path); err != nil {
		return vfs.Result{}, err
	}
	old, ok := e.record(op.Path)
	if spec.Move > 0 && getNum(e.tx, rowLevel) >= PlacementLevel {
		return e.move(op.Path, old, spec)
	}
	if ok {
		return e.mountAgain(op.Path, old, spec)
	}
	if spec.FromFile && e.buried(op.Path, spec) {
		return vfs.Result{}, vfs.Permission.With("unmounted; mount it again by request")
	}
	rec, err := e.admit(op.Path, spec)
	if err != nil {
		return vfs.Result{}, err
	}
	detached := detachedKey(op.Path, spec.Type)
	rec.ID = e.tx.Seq()
	if e.mounts++; e.mounts > 1 { // ids are unique in an Event, too
		return vfs.Result{}, vfs.Invalid.With("one mount at a time")
	}
	if old, ok := getRecord(e.tx, detached); ok {
		rec.ID, rec.Folded = old.ID, old.Folded
		e.tx.Delete(detached)
	}
	m := e.m.mounted(op.Path, rec)
	if rec.Place == vfs.Replicated {
		if err := e.start(&m, &rec, spec.Doc); err != nil {
			return vfs.Result{}, err
		}
	}
	e.tx.Put(textKey(rowMount, string(op.Path)), mustJSON(rec))
	e.tx.Delete(textKey(rowTomb, string(op.Path)))
	e.setTable(append(e.table.Mounts(), m))
	return vfs.Result{Version: rec.Seq, File: rec.ID}, nil
}

// start makes the Folder and folds the verb Mount, unless it was before.
func (e *event) start(m *vfs.Mounted, rec *record, doc string) error {
	folder, ok := m.FS.(vfs.Folder)
	if !ok {
		return vfs.Invalid.Withf("failed to initialize plugin: %v", m.Err)
	}
	if !rec.Folded {
		rec.Folded = true
		_, err := folder.Apply(vfs.SubTx(e.tx, vfs.MountPrefix(rec.ID)),
			vfs.Op{Verb: vfs.Mount, Mount: rec.ID, Path: vfs.Root, Data: []byte(doc)})
		if err != nil {
			return err
		}
	}
	e.tellLevel(e.tx, *m)
	return nil
}

// mountAgain answers a Mount where there is one: a file that asks for what is
// there is content.
func (e *event) mountAgain(p vfs.Path, old record, spec MountSpec) (vfs.Result, error) {
	if !spec.FromFile || !old.Spec.same(spec) {
		return vfs.Result{}, &vfs.Error{Kind: vfs.Exists, Verb: vfs.Mount.String(), Path: p, Reason: "mount"}
	}
	if !old.Spec.FromFile {
		old.Spec.FromFile = true
		e.tx.Put(textKey(rowMount, string(p)), mustJSON(old))
	}
	return vfs.Result{Version: old.Seq, File: old.ID}, nil
}

// move folds the move of a mount to another node. There it is a new one, which
// starts with nothing of what its plugin had in memory.
func (e *event) move(p vfs.Path, rec record, spec MountSpec) (vfs.Result, error) {
	switch {
	case rec.ID == 0 || rec.Seq != spec.Move:
		return vfs.Result{}, vfs.Conflict.Withf("the mount at %s is not what was to move", p)
	case !rec.Spec.Roams || spec.Node == "":
		return vfs.Result{}, vfs.Invalid.Withf("the mount at %s does not move", p)
	}
	rec.Spec.Node = spec.Node
	e.renew(p, rec)
	return vfs.Result{Version: e.tx.Seq(), File: rec.ID}, nil
}

// renew makes the mount at p a new one, so that every node starts it again.
func (e *event) renew(p vfs.Path, rec record) {
	rec.Seq = e.tx.Seq()
	e.tx.Put(textKey(rowMount, string(p)), mustJSON(rec))
	mounts := e.table.Mounts()
	for i := range mounts {
		if mounts[i].ID == rec.ID {
			mounts[i] = e.m.mounted(p, rec)
		}
	}
	e.setTable(mounts)
}

// admit checks what a Mount asks for against the plugin's description.
func (e *event) admit(p vfs.Path, spec MountSpec) (record, error) {
	roams := spec.Roams && getNum(e.tx, rowLevel) >= PlacementLevel
	spec.Doc, spec.Roams, spec.Move = "", false, 0
	rec := record{Seq: e.tx.Seq(), Time: e.tx.Now().UnixNano(), Place: spec.Place, Spec: spec}
	plugin, ok := e.m.plugins[spec.Type]
	if ok && plugin.Since > getNum(e.tx, rowLevel) {
		ok = false // as on a node whose version does not have it
	}
	if !ok && getNum(e.tx, rowLevel) >= LibraryLevel {
		lib, ok := LibraryOf(e.tx, spec.Type)
		if !ok {
			return rec, vfs.Invalid.With("unknown filesystem type: " + spec.Type)
		}
		rec.Place, rec.Spec.Place, rec.Spec.Verbs = lib.Place, lib.Place, lib.Verbs
		rec.Spec.Roams = roams && lib.Place == vfs.Pinned
		return rec, pinned(rec)
	}
	if !ok {
		if spec.Place == vfs.Shared || spec.Place == vfs.Pinned || spec.Place == vfs.PerNode {
			return rec, pinned(rec)
		}
		return rec, vfs.Invalid.With("unknown filesystem type: " + spec.Type)
	}
	if err := spec.Config.Check(plugin.Params); err != nil {
		return rec, err
	}
	if err := spec.Config.CheckSecrets(plugin.Params); err != nil {
		return rec, err
	}
	rec.Place, rec.Spec.Place, rec.Spec.Verbs = vfs.Replicated, 0, 0
	if plugin.Later != nil {
		if since, before := plugin.Later(spec.Config); since > getNum(e.tx, rowLevel) {
			return rec, asInvalid(before)
		}
	}
	if plugin.Place != nil {
		var err error
		if rec.Place, err = plugin.Place(spec.Config); err != nil {
			return rec, asInvalid(err)
		}
	}
	return rec, pinned(rec)
}

func pinned(rec record) error {
	switch {
	case !validType(rec.Spec.Type):
		return vfs.Invalid.With("fstype is required")
	case rec.Place == vfs.Pinned && rec.Spec.Node == "":
		return vfs.Invalid.With("node is required")
	}
	return nil
}

func asInvalid(err error) error {
	if vfs.KindOf(err) == vfs.Internal {
		return vfs.Invalid.With(err.Error())
	}
	return err
}

func mountPath(p vfs.Path) error {
	switch q, err := vfs.ParsePath(string(p)); {
	case err != nil:
		return err
	case q != p:
		return vfs.Invalid.With("path is not clean")
	case p.IsRoot():
		return &vfs.Error{Kind: vfs.Permission, Verb: vfs.Mount.String(), Path: p, Reason: "the root is not a mount point"}
	}
	return nil
}

// unmount detaches: the record goes where a later Mount of the same path and
// type finds it, its state stays. What a file had asked for is remembered so
// that the file does not bring it back by itself.
func (e *event) unmount(op vfs.Op) (vfs.Result, error) {
	rec, ok := e.record(op.Path)
	if !ok {
		return vfs.Result{}, &vfs.Error{Kind: vfs.NotFound, Reason: "no mount at path: " + string(op.Path) + " (not found)"}
	}
	e.tx.Delete(textKey(rowMount, string(op.Path)))
	e.tx.Put(detachedKey(op.Path, rec.Spec.Type), mustJSON(rec))
	if rec.Spec.FromFile {
		e.tx.Put(textKey(rowTomb, string(op.Path)), mustJSON(rec.Spec))
	}
	mounts := e.table.Mounts()
	for i := range mounts {
		if mounts[i].ID == rec.ID {
			mounts = append(mounts[:i], mounts[i+1:]...)
			break
		}
	}
	e.setTable(mounts)
	return vfs.Result{File: rec.ID}, nil
}

func (e *event) setTable(mounts []vfs.Mounted) {
	e.table, e.remounted = vfs.NewTable(mounts), true
}

func (e *event) record(p vfs.Path) (record, bool) {
	return getRecord(e.tx, textKey(rowMount, string(p)))
}

// buried reports whether a file's mount was unmounted as it stands there.
func (e *event) buried(p vfs.Path, spec MountSpec) bool {
	b, ok := e.tx.Get(textKey(rowTomb, string(p)))
	if !ok {
		return false
	}
	old, err := DecodeMount(b)
	if err != nil {
		broken("tombstone of %s", p)
	}
	return old.same(spec)
}

// same reports whether two specs ask for one thing. The node is none of it:
// each node's file may leave it out and mean itself.
func (s MountSpec) same(o MountSpec) bool {
	return s.Type == o.Type && bytes.Equal(s.canonical(), o.canonical())
}

func (s MountSpec) canonical() []byte {
	if len(s.Config) == 0 {
		return nil
	}
	return mustJSON(s.Config)
}

func detachedKey(p vfs.Path, kind string) []byte {
	return textKey(rowDetached, string(p)+"\x00"+kind)
}

func getRecord(v vfs.View, key []byte) (record, bool) {
	b, ok := v.Get(key)
	if !ok {
		return record{}, false
	}
	return decodeRecord(b), true
}

func decodeRecord(b []byte) record {
	var raw struct {
		record
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		broken("mount: %v", err)
	}
	spec, err := DecodeMount(raw.Spec)
	if err != nil {
		broken("mount: %v", err)
	}
	raw.record.Spec = spec
	return raw.record
}

// mounted makes the Table's entry of a record. A Folder is made here, by a
// plugin that has no side effects; Devices are put in when the Table is
// published.
func (m *Machine) mounted(p vfs.Path, rec record) vfs.Mounted {
	out := vfs.Mounted{ID: rec.ID, Path: p, Type: rec.Spec.Type, Place: rec.Place, Config: rec.Spec.Config,
		Node: rec.Spec.Node, Roams: rec.Spec.Roams, Seq: rec.Seq, When: time.Unix(0, rec.Time).UTC()}
	// Verbs decide what the Table keeps in the state, so they are those of the
	// record where the plugin is not the same on every node.
	out.Verbs = rec.Spec.Verbs
	if plugin, ok := m.plugins[rec.Spec.Type]; ok {
		out.Verbs, out.File = plugin.Verbs, plugin.File
	}
	if rec.Place == vfs.Replicated {
		out.FS, out.Err = m.NewFS(out)
	}
	return out
}

// loadTable reads all mounts from v.
func (m *Machine) loadTable(v vfs.View) *vfs.Table {
	var mounts []vfs.Mounted
	prefix := sysKey(rowMount)
	for k, b := range v.Scan(prefix, nil) {
		mounts = append(mounts, m.mounted(vfs.Path(k[len(prefix):]), decodeRecord(b)))
	}
	return vfs.NewTable(mounts)
}
