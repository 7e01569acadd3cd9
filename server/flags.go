package server

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// options is a command line, read.
type options struct {
	config               Config
	file                 string // the configuration file, "" for none
	printSample, version bool
}

// setting is a flag that overrides one value of the configuration.
type setting struct {
	name, help string
	value      func(*Config) flag.Value
}

// settings returns every flag with a value in the configuration file.
func settings() []setting {
	return []setting{
		{"addr", "HTTP API listens on `HOST:PORT`", text(func(c *Config) *string { return &c.Server.Address })},
		{"admin-addr", "metrics, probes and profiles on `HOST:PORT`; without a host on loopback; default: none", text(func(c *Config) *string { return &c.Server.AdminAddress })},
		{"data-dir", "all durable state of this node is in `DIR`", text(func(c *Config) *string { return &c.Server.DataDir })},
		{"log-level", "`LEVEL` is debug, info, warn or error", text(func(c *Config) *string { return &c.Server.LogLevel })},
		{"log-format", "the log is `FORMAT`: text or json", text(func(c *Config) *string { return &c.Server.LogFormat })},
		{"node-id", "stable name `ID` of this node; default: the host name, kept in the data dir", text(func(c *Config) *string { return &c.Cluster.NodeID })},
		{"raft-addr", "the one node-to-node port `HOST:PORT`", text(func(c *Config) *string { return &c.Cluster.RaftAddress })},
		{"raft-advertise", "what peers dial, `HOST:PORT`; default: the raft address", text(func(c *Config) *string { return &c.Cluster.RaftAdvertise })},
		{"http-advertise", "`URL` of this node's API as others see it; default: from the HTTP address", text(func(c *Config) *string { return &c.Cluster.HTTPAdvertise })},
		{"bootstrap-expect", "form a new cluster once `N` nodes of -join see each other", func(c *Config) flag.Value { return (*intValue)(&c.Cluster.BootstrapExpect) }},
		{"join", "node-to-node addresses of peers, `A,B,C`; the same list on every node", func(c *Config) flag.Value { return (*listValue)(&c.Cluster.Join) }},
		{"non-voter", "join as a read replica", func(c *Config) flag.Value { return (*boolValue)(&c.Cluster.NonVoter) }},
		{"tls-ca", "PEM `FILE` of the authorities whose nodes this one trusts; makes the node-to-node port TLS", text(func(c *Config) *string { return &c.Cluster.TLSCA })},
		{"tls-cert", "PEM `FILE` of this node's certificate, made by pfs cluster init-certs", text(func(c *Config) *string { return &c.Cluster.TLSCert })},
		{"tls-key", "PEM `FILE` of its key", text(func(c *Config) *string { return &c.Cluster.TLSKey })},
		{"raft-plaintext", "let the node-to-node port be plain TCP off loopback: whoever reaches it rules the cluster", func(c *Config) flag.Value { return (*boolValue)(&c.Cluster.Plaintext) }},
	}
}

func text(field func(*Config) *string) func(*Config) flag.Value {
	return func(c *Config) flag.Value { return (*stringValue)(field(c)) }
}

// readOptions reads args and the environment over a file over the defaults.
func readOptions(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	given := map[string]string{}
	f := flag.NewFlagSet("pfs-server", flag.ContinueOnError)
	f.SetOutput(io.Discard) // an error is one line; only -help prints the flags
	f.Usage = func() {}
	for _, name := range []string{"c", "config"} {
		f.StringVar(&o.file, name, getenv("PFS_CONFIG"), "YAML configuration `FILE`; default: none, built-in defaults")
	}
	f.BoolVar(&o.printSample, "print-sample-config", false, "print a configuration file with every key, and exit")
	f.BoolVar(&o.version, "version", false, "print the version, and exit")
	shown := defaults()
	for _, s := range settings() {
		keep := func(v string) error { given[s.name] = v; return s.value(&shown).Set(v) }
		if _, isBool := s.value(&shown).(*boolValue); isBool {
			f.BoolFunc(s.name, s.help, keep)
		} else {
			f.Func(s.name, s.help, keep)
		}
	}
	if err := f.Parse(args); isHelp(err) {
		printUsage(f, stderr)
		return o, err
	} else if err != nil {
		return o, fmt.Errorf("%w; -help lists the flags", err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0))
	}
	o.config = defaults()
	if o.file != "" {
		var err error
		if o.config, err = load(o.file); err != nil {
			return o, err
		}
	}
	for _, s := range settings() {
		v, ok := given[s.name]
		if env := envName(s.name); !ok && getenv(env) != "" {
			v, ok = getenv(env), true
		}
		if ok {
			if err := s.value(&o.config).Set(v); err != nil {
				return o, fmt.Errorf("-%s %q: %w", s.name, v, err)
			}
		}
	}
	return o, o.config.check()
}

func envName(flagName string) string {
	return "PFS_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

func printUsage(f *flag.FlagSet, w io.Writer) {
	fmt.Fprint(w, `Usage: pfs-server [flags]        (the same as: pfs server [flags])

Runs one node of PFS. With no flag and no file: one durable node in
./pfs-data, API on 127.0.0.1:8080.

A flag wins over the environment (PFS_ADDR for -addr, and so on), which wins
over the configuration file, which wins over the default.

Flags:
`)
	f.SetOutput(w)
	f.PrintDefaults()
}

// isHelp reports whether err is the answer to -help.
func isHelp(err error) bool { return errors.Is(err, flag.ErrHelp) }
