package server

import (
	"reflect"
	"slices"
)

// knownKeys returns every key that the configuration file may hold.
func knownKeys() []string {
	var keys []string
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			add(t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				if tag := f.Tag.Get("yaml"); tag != "" {
					keys = append(keys, tag)
				}
				add(f.Type)
			}
		}
	}
	add(reflect.TypeFor[Config]())
	slices.Sort(keys)
	return slices.Compact(keys)
}
