package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AuthorityName is the name of the authority's files.
const AuthorityName = "ca"

// Files returns the names of the certificate's and the key's file of name, a
// node's id or AuthorityName, in dir.
func Files(dir, name string) (cert, key string) {
	return filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
}

// Read reads the pair of name in dir.
func Read(dir, name string) (p Pair, err error) {
	cert, key := Files(dir, name)
	if p.Cert, err = os.ReadFile(cert); err != nil {
		return p, err
	}
	p.Key, err = os.ReadFile(key)
	return p, err
}

// Write writes pairs under their names into dir, which it makes if it must. The
// keys are for the owner alone. It replaces nothing: if one of the files is
// there, none is written and the error is fs.ErrExist.
func Write(dir string, pairs map[string]Pair) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var made []string
	for name, p := range pairs {
		cert, key := Files(dir, name)
		for _, f := range []struct {
			name string
			text []byte
			mode fs.FileMode
		}{{cert, p.Cert, 0o644}, {key, p.Key, 0o600}} {
			if err := create(f.name, f.text, f.mode); err != nil {
				for _, m := range made {
					err = errors.Join(err, os.Remove(m))
				}
				return err
			}
			made = append(made, f.name)
		}
	}
	return nil
}

func create(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// CheckName refuses ids of nodes that cannot name files or hosts.
func CheckName(node string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || slices.Contains([]rune{'/', '\\', '='}, r) }
	if node == "" || len(node) > 128 || node[0] == '.' || node == AuthorityName || strings.ContainsFunc(node, bad) {
		return fmt.Errorf("%q cannot be the id of a node here", node)
	}
	return nil
}
