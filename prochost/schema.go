package prochost

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pfs-project/pfs/vfs"
)

// maxChecks is how often a schema, or a part of one, may be held to a part of the
// settings: a few hundred bytes of references to references make any number, and
// nothing ends a check that has begun.
const maxChecks = 100_000

var (
	errCostly = vfs.Invalid.Withf("the program's JSON schema holds more than %d parts of itself to these settings", maxChecks)
	errCircle = vfs.Invalid.With("the program's JSON schema refers to itself without an end")
	errTurns  = vfs.Invalid.With("the program's JSON schema has $dynamicRef or $recursiveRef: only $ref can be used")
)

// checks counts them beforehand. It takes as long as there are different ones.
type checks struct{ left int64 }

// affordable reports what keeps settings from being held to a schema.
func affordable(s *jsonschema.Schema, settings any) error {
	return (&checks{maxChecks}).count(map[*jsonschema.Schema]int64{s: 1}, settings)
}

// count takes off what it is to hold v to schemas, to each as often as at says.
func (c *checks) count(at map[*jsonschema.Schema]int64, v any) error {
	order, err := c.order(at)
	if err != nil {
		return err
	}
	for _, s := range order {
		n := at[s]
		if c.left -= n; c.left < 0 {
			return errCostly
		}
		for _, t := range beside(s) {
			at[t] = min(at[t]+n, maxChecks+1)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for name, part := range v {
			err = c.below(order, at, part, func(s *jsonschema.Schema) []*jsonschema.Schema { return ofProperty(s, name) })
			if err != nil {
				return err
			}
		}
	case []any:
		for i, part := range v {
			err = c.below(order, at, part, func(s *jsonschema.Schema) []*jsonschema.Schema { return ofItem(s, i) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// below counts for a part of what schemas are held to.
func (c *checks) below(order []*jsonschema.Schema, at map[*jsonschema.Schema]int64, part any, of func(*jsonschema.Schema) []*jsonschema.Schema) error {
	next := map[*jsonschema.Schema]int64{}
	for _, s := range order {
		if c.left--; c.left < 0 {
			return errCostly
		}
		for _, t := range of(s) {
			next[t] = min(next[t]+at[s], maxChecks+1)
		}
	}
	if len(next) == 0 {
		return nil
	}
	return c.count(next, part)
}

// order returns the schemas and all that are held to the same part with them, each
// before those that it leads to.
func (c *checks) order(at map[*jsonschema.Schema]int64) ([]*jsonschema.Schema, error) {
	const under, done = 1, 2
	var out []*jsonschema.Schema
	state := map[*jsonschema.Schema]int{}
	var visit func(*jsonschema.Schema) error
	visit = func(s *jsonschema.Schema) error {
		switch {
		case state[s] == done:
			return nil
		case state[s] == under:
			return errCircle
		case s.DynamicRef != nil || s.RecursiveRef != nil:
			return errTurns
		case int64(len(state)) > c.left:
			return errCostly
		}
		state[s] = under
		for _, t := range beside(s) {
			if err := visit(t); err != nil {
				return err
			}
		}
		state[s] = done
		out = append(out, s)
		return nil
	}
	for s := range at {
		if err := visit(s); err != nil {
			return nil, err
		}
	}
	slices.Reverse(out)
	return out, nil
}

// beside are the schemas that are held to the same part of the settings as s.
func beside(s *jsonschema.Schema) (out []*jsonschema.Schema) {
	out = present(s.Ref, s.Not, s.If, s.Then, s.Else)
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		out = append(out, list...)
	}
	for _, t := range s.DependentSchemas {
		out = append(out, t)
	}
	for _, t := range s.Dependencies {
		out = append(out, either(t)...)
	}
	return out
}

// ofProperty are those of s that are held to a property, or to its name.
func ofProperty(s *jsonschema.Schema, name string) []*jsonschema.Schema {
	out := present(s.Properties[name], s.PropertyNames, s.UnevaluatedProperties)
	for _, t := range s.PatternProperties {
		out = append(out, t)
	}
	return append(out, either(s.AdditionalProperties)...)
}

// ofItem are those of s that are held to entry i of a list.
func ofItem(s *jsonschema.Schema, i int) []*jsonschema.Schema {
	out := present(s.Contains, s.Items2020, s.UnevaluatedItems)
	if list, ok := s.Items.([]*jsonschema.Schema); ok && i < len(list) {
		out = append(out, list[i])
	}
	if i < len(s.PrefixItems) {
		out = append(out, s.PrefixItems[i])
	}
	return append(append(out, either(s.Items)...), either(s.AdditionalItems)...)
}

// either is what a field holds that may hold no schema.
func either(v any) []*jsonschema.Schema {
	s, _ := v.(*jsonschema.Schema)
	return present(s)
}

func present(all ...*jsonschema.Schema) (out []*jsonschema.Schema) {
	for _, s := range all {
		if s != nil {
			out = append(out, s)
		}
	}
	return out
}
