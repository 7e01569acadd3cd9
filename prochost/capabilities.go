package prochost

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// What a program may say of itself.
const (
	capabilitiesTime = 5 * time.Second // of a program that has told them before
	maxCapabilities  = 1 << 20         // bytes
	maxMisfit        = 4 << 10         // bytes that tell what does not fit the schema
)

// The contracts that can be mounted.
const (
	contractFiles     = "fileSystem"
	contractProcessor = "dataProcessor"
)

// offer is what a program is mounted as.
type offer struct {
	contract string
	name     string   // the type within the contract
	configs  []string // the names of its configurations
	verbs    vfs.VerbSet
	puts     bool               // a fileSystem that takes a whole file in one request
	schema   *jsonschema.Schema // of its settings; nil: any
	params   []vfs.Param
	doc      string
}

// capabilities runs the program to ask what it can do, which it says in time.
func capabilities(ctx context.Context, c supervise.Command, within time.Duration) (offer, error) {
	c.Args = []string{"capabilities"}
	child, err := supervise.Start(c)
	if err != nil {
		return offer{}, err
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	defer child.End(now)
	child.In.Close() // one that waits for more has heard all
	if err := child.Out.SetReadDeadline(time.Now().Add(within)); err != nil {
		return offer{}, err
	}
	b, err := io.ReadAll(io.LimitReader(child.Out, maxCapabilities+1))
	switch b = bytes.TrimSpace(b); {
	case len(b) > maxCapabilities:
		return offer{}, vfs.Invalid.Withf("the program says more than %d bytes of its capabilities", maxCapabilities)
	case len(b) == 0:
		child.End(now) // then its last words are there
		return offer{}, fmt.Errorf("it says nothing when it is run with the argument capabilities: %s", child.Report())
	case err != nil && !json.Valid(b):
		return offer{}, errors.New("it does not end what it says of its capabilities")
	}
	return readOffer(b)
}

// described is a type as capabilities tell it.
type described struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"jsonSchema"`
	Verbs  []string        `json:"verbs"` // of a fileSystem: an addition of ours
	Doc    string          `json:"description"`
}

// readOffer reads what capabilities print, and chooses the contract.
func readOffer(b []byte) (o offer, err error) {
	var doc struct {
		Types        map[string][]described `json:"types"`
		ConfigTypes  []string               `json:"configTypes"`
		Capabilities json.RawMessage        `json:"capabilities"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return o, vfs.Invalid.Withf("the program's capabilities are not those of a plugin: %v", err)
	}
	if doc.Types == nil && doc.Capabilities != nil {
		return o, vfs.Invalid.With("the program is a plugin of another framework, whose contracts are no files")
	}
	for _, o.contract = range []string{contractFiles, contractProcessor} {
		if len(doc.Types[o.contract]) > 0 {
			break
		}
	}
	list := doc.Types[o.contract]
	if len(list) == 0 {
		return o, vfs.Invalid.Withf("the program has the contracts %q; %s and %s can be mounted", slices.Sorted(maps.Keys(doc.Types)), contractFiles, contractProcessor)
	}
	d := list[0]
	o.name, o.configs, o.doc = d.Type, doc.ConfigTypes, clip(d.Doc, 16<<10)
	if n := slices.Index(d.Verbs, verbPut); n >= 0 && o.contract == contractFiles {
		o.puts, d.Verbs = slices.Contains(d.Verbs, "write"), slices.Delete(d.Verbs, n, n+1)
	}
	if o.verbs, err = verbsOf(o.contract, d.Verbs); err != nil {
		return o, err
	}
	o.schema, o.params, err = readSchema(d.Schema)
	return o, err
}

// verbNames are the verbs of a fileSystem, as it tells them.
var verbNames = map[string]vfs.VerbSet{
	"create": vfs.Verbs(vfs.Create), "mkdir": vfs.Verbs(vfs.Mkdir), "write": vfs.Verbs(vfs.Write), "truncate": vfs.Verbs(vfs.Truncate),
	"chmod": vfs.Verbs(vfs.Chmod), "touch": vfs.Verbs(vfs.Touch), "remove": vfs.Verbs(vfs.Remove, vfs.RemoveAll), "rename": vfs.Verbs(vfs.Rename),
}

// verbPut is said beside write by a fileSystem that takes a whole file in one request.
const verbPut = "put"

func verbsOf(contract string, names []string) (set vfs.VerbSet, err error) {
	if contract == contractProcessor {
		return processorVerbs, nil
	}
	for _, name := range names {
		v, ok := verbNames[name]
		if !ok {
			return 0, vfs.Invalid.Withf("the program says that it can %.40q: verbs are %s", name, strings.Join(slices.Sorted(maps.Keys(verbNames)), ", ")+", "+verbPut)
		}
		set |= v
	}
	return set, nil
}

// readSchema reads a schema: base64, as programs send it, or a text or an object,
// as it is written about.
func readSchema(raw json.RawMessage) (*jsonschema.Schema, []vfs.Param, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			raw = b
		}
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil, nil
	}
	bad := func(err error) error { return vfs.Invalid.Withf("the program's JSON schema cannot be used: %v", err) }
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, bad(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaName, doc); err != nil {
		return nil, nil, bad(err)
	}
	s, err := c.Compile(schemaName)
	if err != nil {
		return nil, nil, bad(err)
	}
	return s, paramsOf(raw), nil
}

const schemaName = "settings.json"

// noLoader refuses schemas that are elsewhere: in files of this machine, too.
type noLoader struct{}

// Load answers no URL.
func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("a schema may not refer to others: " + clip(url, 100))
}

// paramsOf tells of the settings that a schema names.
func paramsOf(raw []byte) (out []vfs.Param) {
	var s struct {
		Properties map[string]struct {
			Type        any    `json:"type"`
			Description string `json:"description"`
			Default     any    `json:"default"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	types := map[any]string{"integer": "int", "number": "int", "boolean": "bool", "array": "list", "object": "map"}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		param := vfs.Param{Name: name, Type: "string", Required: slices.Contains(s.Required, name), Description: p.Description}
		if text, ok := p.Type.(string); ok && types[text] != "" {
			param.Type = types[text]
		}
		if p.Default != nil {
			b, _ := json.Marshal(p.Default) // it was JSON
			param.Default = strings.Trim(string(b), `"`)
		}
		out = append(out, param)
	}
	return out
}

// vet checks settings before the program is started with them.
func (o offer) vet(settings map[string]any) error {
	if o.schema == nil {
		return nil
	}
	b, err := json.Marshal(settings)
	if err != nil {
		return vfs.Invalid.With(err.Error())
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return vfs.Invalid.With(err.Error())
	}
	if err := affordable(o.schema, doc); err != nil {
		return err
	}
	if err := o.schema.Validate(doc); err != nil {
		var ve *jsonschema.ValidationError
		text := err.Error()
		if errors.As(err, &ve) {
			text = strings.Join(strings.Fields(strings.ReplaceAll(text, "jsonschema validation failed with '"+ve.SchemaURL+"'", "")), " ")
		}
		return vfs.Invalid.Withf("settings: %s", clip(strings.TrimPrefix(text, "- "), maxMisfit))
	}
	return nil
}
