package prochost

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pfs-project/pfs/vfs"
)

// doubled is a schema whose n definitions each lead to the next one twice, in a way
// of its own.
func doubled(n int, way string) string {
	var b strings.Builder
	for i := range n {
		next := fmt.Sprintf(`{"$ref":"#/$defs/a%d"}`, i+1)
		fmt.Fprintf(&b, `"a%d":%s,`, i, strings.ReplaceAll(way, "NEXT", next))
	}
	return fmt.Sprintf(`{"$ref":"#/$defs/a0","$defs":{%s"a%d":{}}}`, b.String(), n)
}

// A schema that would keep a processor for years, or take all memory, is refused
// before settings are held to it; what people write is not.
func TestSchemaIsBounded(t *testing.T) {
	deep := map[string]any{}
	for range 40 {
		deep = map[string]any{"a": deep, "b": []any{deep}}
		deep["b"] = []any{1}
	}
	tree := `{"type":"object","properties":{"a":{"$ref":"#"},"b":{"type":"array","items":{"type":"integer"}}},"patternProperties":{"^x":true}}`
	wide := map[string]any{}
	var props []string
	for i := range 1000 {
		wide[fmt.Sprint("p", i)] = i
		props = append(props, fmt.Sprintf(`"p%d":{"type":"integer"}`, i))
	}
	for name, c := range map[string]struct {
		schema   string
		settings map[string]any
		want     error
	}{
		"all of":      {doubled(40, `{"allOf":[NEXT,NEXT]}`), nil, errCostly},
		"any of":      {doubled(40, `{"anyOf":[{"not":NEXT},NEXT]}`), nil, errCostly},
		"conditions":  {doubled(40, `{"if":NEXT,"then":NEXT}`), nil, errCostly},
		"dependent":   {doubled(40, `{"dependentSchemas":{"x":NEXT,"y":NEXT}}`), map[string]any{"x": 1, "y": 2}, errCostly},
		"below":       {`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`, deep, errCostly},
		"others":      {`{"allOf":[{"additionalProperties":{"$ref":"#"}},{"additionalProperties":{"$ref":"#"}}]}`, deep, errCostly},
		"circle":      {`{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}`, nil, errCircle},
		"dynamic":     {`{"$defs":{"a":{"$dynamicAnchor":"x"}},"$dynamicRef":"#x"}`, nil, errTurns},
		"a few":       {doubled(8, `{"allOf":[NEXT,NEXT]}`), nil, nil},
		"a tree":      {tree, deep, nil},
		"many fields": {`{"properties":{` + strings.Join(props, ",") + `},"additionalProperties":false}`, wide, nil},
	} {
		raw, err := json.Marshal(json.RawMessage(c.schema))
		if err != nil {
			t.Fatal(name, err)
		}
		s, _, err := readSchema(raw)
		if err != nil {
			t.Fatal(name, err)
		}
		if c.settings == nil {
			c.settings = map[string]any{}
		}
		if err := (offer{schema: s}).vet(c.settings); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
	s, _, err := readSchema(json.RawMessage(tree))
	if err != nil {
		t.Fatal(err)
	}
	bad := make([]any, 3000)
	for i := range bad {
		bad[i] = "text"
	}
	if err := (offer{schema: s}).vet(map[string]any{"b": bad}); vfs.KindOf(err) != vfs.Invalid || len(err.Error()) > 2*maxMisfit {
		t.Errorf("%.300v", err)
	}
}
