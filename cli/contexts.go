package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/client"
)

// Server is a cluster to talk to, and as whom.
type Server struct {
	URLs      []string `json:"urls"`
	TokenFile string   `json:"token_file,omitempty"`
	CACert    string   `json:"cacert,omitempty"` // files of PEM
	Cert      string   `json:"cert,omitempty"`
	Key       string   `json:"key,omitempty"`

	token string
}

// Contexts are named clusters, and which of them is meant when nothing is said.
type Contexts struct {
	Current  string            `json:"current,omitempty"`
	Contexts map[string]Server `json:"contexts"`
}

// ContextsFile is where the contexts are kept: contexts.json in the directory pfs of
// XDG_CONFIG_HOME, or of ~/.config, of this machine whatever a shell of pfs says of
// them; "" if there is no such place.
func (e *Env) ContextsFile() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil || home == "" {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "pfs", "contexts.json")
}

// LoadContexts reads the contexts; there are none where there is no file.
func (e *Env) LoadContexts() (Contexts, error) {
	all := Contexts{}
	b, err := os.ReadFile(e.ContextsFile())
	if errors.Is(err, fs.ErrNotExist) {
		b, err = []byte("{}"), nil
	}
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if all.Contexts == nil {
		all.Contexts = map[string]Server{}
	}
	if err != nil {
		return all, &Hinted{Code: ExitUsage, Text: e.ContextsFile() + ": " + err.Error(), Hint: "mend the file, or remove it"}
	}
	return all, nil
}

// SaveContexts writes them, whole or not at all.
func (e *Env) SaveContexts(all Contexts) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	name := e.ContextsFile()
	if name == "" {
		return Usage("there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set")
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".contexts-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// ServerNow returns what flags, variables and the current context name, in this order.
func (e *Env) ServerNow() (Server, error) {
	s := Server{CACert: e.Getenv("PFS_CACERT"), Cert: e.Getenv("PFS_CERT"), Key: e.Getenv("PFS_KEY"),
		TokenFile: e.Getenv("PFS_TOKEN_FILE"), token: e.Getenv("PFS_TOKEN")}
	urls := e.URL
	if urls == "" && e.Named == "" {
		_, urls = e.urlVariable()
	}
	if urls != "" {
		s.URLs = split(urls)
		if len(s.URLs) == 0 {
			return s, Usage("--url names no node")
		}
		return s, nil
	}
	name, all, err := e.named()
	if err != nil {
		return s, err
	}
	if name == "" {
		s.URLs = []string{client.DefaultURL}
		return s, nil
	}
	in, ok := all.Contexts[name]
	if !ok {
		return s, &Hinted{Code: ExitUsage, Text: "there is no context " + name, Hint: "see: pfs context list"}
	}
	if s.token == "" && s.TokenFile == "" {
		s.TokenFile = in.TokenFile
	}
	if s.CACert == "" {
		s.CACert = in.CACert
	}
	if s.Cert == "" && s.Key == "" {
		s.Cert, s.Key = in.Cert, in.Key
	}
	s.URLs = in.URLs
	return s, nil
}

// named returns the name of the context that is meant; "" for none.
func (e *Env) named() (string, Contexts, error) {
	all, err := e.LoadContexts()
	for _, name := range []string{e.Named, e.Getenv("PFS_CONTEXT"), all.Current} {
		if name != "" {
			return name, all, err
		}
	}
	return "", all, err
}

// Environ are the variables with which another pfs talks to the same server, as the
// same.
func (e *Env) Environ() ([]string, error) {
	_, url := e.urlVariable()
	if e.URL == "" && (e.Named != "" || url == "") {
		if name, _, err := e.named(); name != "" || err != nil {
			return []string{"PFS_URL=", "AGFS_API_URL=", "AGFS_SERVER_URL=", "PFS_CONTEXT=" + name}, err
		}
	}
	urls, err := e.URLs()
	return []string{"PFS_URL=" + strings.Join(urls, ",")}, err
}

// urlVariable returns the variable that names the server, and what it says.
func (e *Env) urlVariable() (name, url string) {
	for _, name := range []string{"PFS_URL", "AGFS_API_URL", "AGFS_SERVER_URL"} {
		if v := e.Getenv(name); v != "" {
			return name, v
		}
	}
	return "", ""
}

// split takes a list apart at its commas.
func split(list string) []string {
	var out []string
	for u := range strings.SplitSeq(list, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}

// config is how a client talks to the server.
// Config is the server as the client package takes it. A token or a certificate in a
// file is read now.
func (s Server) Config() (client.Config, error) {
	c := client.Config{URLs: slices.Clone(s.URLs), NoWait: true, Token: s.token}
	if s.TokenFile != "" && s.token == "" {
		b, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return c, err
		}
		c.Token = strings.TrimSpace(string(b))
	}
	if s.CACert == "" && s.Cert == "" && s.Key == "" {
		return c, nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CACert != "" {
		pem, err := os.ReadFile(s.CACert)
		if err != nil {
			return c, err
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return c, Usage("%s holds no certificate in PEM", s.CACert)
		}
	}
	if s.Cert != "" || s.Key != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return c, UsageError{Err: err}
		}
		c.TLS.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Check reports what would keep a client from talking to the server.
func (s Server) Check() error {
	config, err := s.Config()
	if err != nil {
		return err
	}
	c, err := client.New(config)
	if err != nil {
		return UsageError{Err: err}
	}
	c.Close()
	return nil
}
