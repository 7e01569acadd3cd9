package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/certs"
	"github.com/pfs-project/pfs/cli"
)

// day is what the validity of certificates is counted in.
const day = 24 * time.Hour

// authorityDays is how long a new authority is valid.
const authorityDays = 3650

// initCerts is "pfs cluster init-certs".
func (a *app) initCerts() *cobra.Command {
	var (
		dir, ca string
		days    int
		keep    bool
	)
	c := &cobra.Command{Use: "init-certs id[=host,…]…", Short: "Make certificates for the node-to-node port", Args: cobra.MinimumNArgs(1),
		Long: `Makes an authority and a certificate for each node, with which nodes talk TLS
to each other. A certificate names its node by id; hosts are optional, for
other tools. With --ca, an authority that was made before signs the new ones.
Nothing is overwritten. No server is needed.`,
		Example: "  pfs cluster init-certs --dir certs n1=10.0.0.1 n2=10.0.0.2 n3=10.0.0.3\n" +
			"  pfs cluster init-certs --dir certs --ca certs n4=10.0.0.4",
		RunE: func(_ *cobra.Command, args []string) error {
			if days < 1 || days > 100*365 {
				return cli.Usage("--days %d: it must be 1 to 36500", days)
			}
			if there, err := certsThere(dir, ca == "", args); keep && (there || err != nil) {
				return err
			}
			pairs, nodes, err := makeCerts(ca, args, time.Duration(days)*day)
			if err != nil {
				return err
			}
			if err := certs.Write(dir, pairs); err != nil {
				if errors.Is(err, fs.ErrExist) {
					return cli.UsageError{Err: err}
				}
				return err
			}
			return a.tellCerts(dir, ca, nodes)
		}}
	f := c.Flags()
	f.StringVar(&dir, "dir", "certs", "directory to write to")
	f.StringVar(&ca, "ca", "", "directory with the ca.pem and ca-key.pem to sign with; default: a new authority")
	f.IntVar(&days, "days", 365, "days that the certificates of nodes are valid")
	f.BoolVar(&keep, "keep", false, "do nothing, and succeed, if all files are there")
	return c
}

// certsThere reports whether the files of all nodes, and of a new authority,
// are in dir.
func certsThere(dir string, authority bool, args []string) (bool, error) {
	names := []string{}
	if authority {
		names = append(names, certs.AuthorityName)
	}
	for _, arg := range args {
		node, _, _ := strings.Cut(arg, "=")
		names = append(names, node)
	}
	for _, name := range names {
		if _, err := certs.Read(dir, name); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// makeCerts makes the pairs that args ask for, the authority's among them if it
// is new.
func makeCerts(ca string, args []string, valid time.Duration) (pairs map[string]certs.Pair, nodes []string, err error) {
	var authority *certs.Authority
	pairs = map[string]certs.Pair{}
	if ca == "" {
		if authority, err = certs.NewAuthority(max(valid, authorityDays*day)); err != nil {
			return nil, nil, err
		}
		pairs[certs.AuthorityName] = authority.Pair()
	} else {
		p, err := certs.Read(ca, certs.AuthorityName)
		if err != nil {
			return nil, nil, err
		}
		if authority, err = certs.ParseAuthority(p); err != nil {
			return nil, nil, err
		}
	}
	for _, arg := range args {
		node, list, _ := strings.Cut(arg, "=")
		if err := certs.CheckName(node); err != nil {
			return nil, nil, cli.UsageError{Err: err}
		}
		if _, twice := pairs[node]; twice {
			return nil, nil, cli.Usage("node %s is named twice", node)
		}
		var hosts []string
		for h := range strings.SplitSeq(list, ",") {
			if h = strings.TrimSpace(h); h != "" {
				hosts = append(hosts, h)
			}
		}
		if pairs[node], err = authority.Issue(node, hosts, valid); err != nil {
			return nil, nil, err
		}
		nodes = append(nodes, node)
	}
	return pairs, nodes, nil
}

// tellCerts prints what was made, and what to do with it.
func (a *app) tellCerts(dir, ca string, nodes []string) error {
	authority, secret := certs.Files(dir, certs.AuthorityName)
	if ca != "" {
		authority, secret = certs.Files(ca, certs.AuthorityName)
	}
	if a.JSON() {
		type files struct {
			Node string `json:"node"`
			CA   string `json:"tls_ca"`
			Cert string `json:"tls_cert"`
			Key  string `json:"tls_key"`
		}
		var out []files
		for _, n := range nodes {
			cert, key := certs.Files(dir, n)
			out = append(out, files{n, authority, cert, key})
		}
		return a.Encode(out)
	}
	if ca == "" {
		a.Printf("authority: %s; keep %s away from the nodes\n", authority, secret)
	}
	for _, n := range nodes {
		cert, key := certs.Files(dir, n)
		a.Printf("node %s: %s %s\n", n, cert, key)
	}
	cert, key := certs.Files("", nodes[0])
	a.Printf(`
Copy to each node %s and its own two files, and set there, as for %s:
  cluster:
    tls_ca: %s
    tls_cert: %s
    tls_key: %s
`, filepath.Base(authority), nodes[0], filepath.Base(authority), cert, key)
	return nil
}
