package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// member is one entry of an object, whose order is kept.
type member struct {
	key   string
	value json.RawMessage
}

// addJSON puts l among the servers at key, in place of one of that name.
func addJSON(old []byte, key string, l Launch) (string, error) {
	all, err := members(old)
	if err != nil {
		return "", err
	}
	servers, err := members(get(all, key))
	if err != nil {
		return "", fmt.Errorf("%q: %w", key, err)
	}
	entry, err := plain(l)
	if err != nil {
		return "", err
	}
	inner, err := object(set(servers, l.Name, entry))
	if err != nil {
		return "", err
	}
	whole, err := object(set(all, key, inner))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, whole, "", "  "); err != nil {
		return "", err
	}
	return b.String() + "\n", nil
}

// members reads an object; nothing is an empty one.
func members(text []byte) (out []member, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("it is not a JSON object (comments are not understood)"), err)
	}
	for d.More() {
		var m member
		t, err := d.Token()
		if err == nil {
			m.key, _ = t.(string) // as keys are
			err = d.Decode(&m.value)
		}
		if err != nil {
			return nil, fmt.Errorf("it is broken JSON: %w", err)
		}
		out = append(out, m)
	}
	if _, err = d.Token(); err != nil {
		return nil, fmt.Errorf("it is broken JSON: %w", err)
	}
	if _, err = d.Token(); err != io.EOF {
		return nil, errors.New("it is broken JSON: something follows the object")
	}
	return out, nil
}

func get(all []member, key string) json.RawMessage {
	for _, m := range all {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

func set(all []member, key string, value json.RawMessage) []member {
	for i := range all {
		if all[i].key == key {
			all[i].value = value
			return all
		}
	}
	return append(all, member{key, value})
}

// object writes members in their order.
func object(all []member) (json.RawMessage, error) {
	b := []byte{'{'}
	for i, m := range all {
		if i > 0 {
			b = append(b, ',')
		}
		k, err := plain(m.key)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, k...), ':'), m.value...)
	}
	return append(b, '}'), nil
}

// plain renders v without the escapes that only web pages need.
func plain(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
