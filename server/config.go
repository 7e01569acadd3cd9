package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pfs-project/pfs/raftlog"
	"github.com/pfs-project/pfs/supervise"
	"github.com/pfs-project/pfs/vfs"
)

// Config is the whole configuration of a node.
type Config struct {
	Server   ServerConfig            `yaml:"server"`
	Cluster  ClusterConfig           `yaml:"cluster"`
	External ExternalConfig          `yaml:"external_plugins"`
	MCP      MCPConfig               `yaml:"mcp"`
	Plugins  map[string]mountConfigs `yaml:"plugins"`
}

// ServerConfig is the part that each node has for itself.
type ServerConfig struct {
	Address      string `yaml:"address"`       // HTTP API
	AdminAddress string `yaml:"admin_address"` // "": none
	DataDir      string `yaml:"data_dir"`      // all durable state of the node
	LogLevel     string `yaml:"log_level"`     // debug, info, warn, error
	LogFormat    string `yaml:"log_format"`    // text, json
	Slow         string `yaml:"slow_request"`
	MaxBody      int64  `yaml:"max_request_body_bytes"`
	CacheSize    string `yaml:"cache_size"` // of the state; "0": chosen

	Backup BackupConfig `yaml:"backup"`
}

// BackupConfig says when backups are made, and where they go.
type BackupConfig struct {
	Every string `yaml:"every"` // "0s": never
	Dir   string `yaml:"dir"`
	Keep  int    `yaml:"keep"` // how many
}

// ClusterConfig says who the node is and whom it joins.
type ClusterConfig struct {
	NodeID          string     `yaml:"node_id"`
	RaftAddress     string     `yaml:"raft_address"`
	RaftAdvertise   string     `yaml:"raft_advertise"`
	HTTPAdvertise   string     `yaml:"http_advertise"`
	BootstrapExpect int        `yaml:"bootstrap_expect"`
	Join            stringList `yaml:"join"`
	NonVoter        bool       `yaml:"non_voter"`
	LogStore        string     `yaml:"log_store"`
	ChunkGrace      string     `yaml:"chunk_grace"`
	DiskReserve     string     `yaml:"disk_reserve"`
	TLSCA           string     `yaml:"tls_ca"`
	TLSCert         string     `yaml:"tls_cert"`
	TLSKey          string     `yaml:"tls_key"`
	Plaintext       bool       `yaml:"plaintext"`
	MaxSnapshot     string     `yaml:"max_snapshot"`
	SnapshotRate    string     `yaml:"snapshot_rate"`
}

// ExternalConfig says which third-party plugins may be loaded. Keys without a
// comment are read so that existing files load, and do nothing.
type ExternalConfig struct {
	Enabled       bool           `yaml:"enabled"`
	PluginDir     string         `yaml:"plugin_dir"` // whose files may be loaded by request
	AutoLoad      bool           `yaml:"auto_load"`
	PluginPaths   []string       `yaml:"plugin_paths"`  // files that may be loaded, too
	SentPrograms  bool           `yaml:"sent_programs"` // programs that are uploaded, or in the tree, too
	AllowHosts    []string       `yaml:"allow_hosts"`   // servers that a request may name in a URL: host, or host:port
	FetchTimeout  string         `yaml:"fetch_timeout"` // for a plugin from a URL to arrive
	PluginHost    string         `yaml:"plugin_host"`   // the program that loads native libraries; "": beside this one
	Isolation     string         `yaml:"isolation"`     // of native libraries: "process", or "none" in a server built for that; "": process
	Crashes       int            `yaml:"crashes"`       // ends of a plugin's process within crash_window after which it is left alone; 0: 5
	CrashWindow   string         `yaml:"crash_window"`  // "": 10m
	RetryAfter    string         `yaml:"retry_after"`   // after which it is tried again; "": only when it is mounted again
	WASIMountPath string         `yaml:"wasi_mount_path"`
	WASM          map[string]any `yaml:"wasm"`
}

// MCPConfig says what agents may do at /mcp.
type MCPConfig struct {
	Enabled  bool   `yaml:"enabled"`
	Root     string `yaml:"root"` // what they reach, with all below
	ReadOnly bool   `yaml:"read_only"`
}

// mountConfig is one entry below plugins.
type mountConfig struct {
	Name    string         `yaml:"name"`
	Enabled *bool          `yaml:"enabled"`
	Path    string         `yaml:"path"`
	Node    string         `yaml:"node"`
	Config  map[string]any `yaml:"config"`
}

// mountConfigs is what stands at one key: one entry or a list of them.
type mountConfigs []mountConfig

// UnmarshalYAML accepts both forms.
func (m *mountConfigs) UnmarshalYAML(unmarshal func(any) error) error {
	var form any
	if err := unmarshal(&form); err != nil {
		return err
	}
	if _, ok := form.([]any); ok {
		var list []mountConfig
		err := unmarshal(&list)
		*m = list
		return err
	}
	var one mountConfig
	err := unmarshal(&one)
	*m = mountConfigs{one}
	return err
}

// stringList is a list, or one text with commas.
type stringList []string

// UnmarshalYAML accepts both forms.
func (l *stringList) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if unmarshal(&s) == nil {
		*l = splitList(s)
		return nil
	}
	var list []string
	err := unmarshal(&list)
	*l = list
	return err
}

func splitList(s string) []string {
	var out []string
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// defaults is the configuration without a file or a flag.
func defaults() Config {
	return Config{
		Server: ServerConfig{Address: "127.0.0.1:8080", DataDir: "./pfs-data", LogLevel: "info", LogFormat: "text", Slow: "1s", CacheSize: "0",
			Backup: BackupConfig{Every: "0s", Keep: 24}},
		Cluster: ClusterConfig{RaftAddress: "127.0.0.1:7946", BootstrapExpect: 1, ChunkGrace: "10m", DiskReserve: "0",
			MaxSnapshot: "512GB", SnapshotRate: "64MB"},
		External: ExternalConfig{FetchTimeout: "60s"},
		MCP:      MCPConfig{Enabled: true, Root: "/"},
	}
}

// maxConfigSize bounds a configuration file, in bytes.
const maxConfigSize = 1 << 20

// load reads a file over the defaults. Unknown and repeated keys are errors.
func load(file string) (Config, error) {
	c := defaults()
	st, err := os.Stat(file)
	if err != nil {
		return c, fmt.Errorf("configuration file: %w", err)
	}
	if st.IsDir() || st.Size() > maxConfigSize {
		return c, fmt.Errorf("configuration file %s: a directory, or larger than %d bytes", file, maxConfigSize)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("configuration file: %w", err)
	}
	c, err = parse(b)
	if err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return c, nil
}

func parse(b []byte) (Config, error) {
	c := defaults()
	err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict())
	if err == nil {
		return c, nil
	}
	var unknown *yaml.UnknownFieldError
	if !errors.As(err, &unknown) {
		// Without the lines around it: there may be a password in them.
		return c, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	token := unknown.GetToken()
	at := fmt.Sprintf("[%d:%d] unknown key %q", token.Position.Line, token.Position.Column, token.Value)
	if s := vfs.Nearest(token.Value, knownKeys()); s != "" {
		return c, fmt.Errorf("%s: did you mean %q?", at, s)
	}
	return c, errors.New(at)
}

// check refuses values that no node could run with.
func (c *Config) check() error {
	if c.Server.Address == "" || c.Server.DataDir == "" {
		return errors.New("server.address and server.data_dir must not be empty")
	}
	if n := c.Cluster.BootstrapExpect; n < 1 || n > 9 {
		return fmt.Errorf("cluster.bootstrap_expect is %d; it must be 1 to 9", n)
	}
	if c.Cluster.BootstrapExpect > 1 && len(c.Cluster.Join) == 0 {
		return errors.New("cluster.bootstrap_expect over 1 needs cluster.join: the raft addresses of all nodes")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(c.Cluster.Join)))); c.Cluster.BootstrapExpect > 1 && 2*c.Cluster.BootstrapExpect <= n {
		return fmt.Errorf("cluster.bootstrap_expect is %d of the %d addresses in cluster.join: it must be more than half, or two clusters could form", c.Cluster.BootstrapExpect, n)
	}
	if s := c.Cluster.LogStore; s != "" && s != raftlog.Bolt && s != raftlog.Pebble {
		return fmt.Errorf("cluster.log_store is %q; it must be bolt or pebble, or empty for what the directory has", s)
	}
	if _, err := c.chunkGrace(); err != nil {
		return err
	}
	if _, err := c.adminAddress(); err != nil {
		return err
	}
	if f := c.Server.LogFormat; f != "text" && f != "json" {
		return fmt.Errorf("server.log_format is %q; it must be text or json", f)
	}
	if _, err := c.External.breaker(); err != nil {
		return err
	}
	if _, err := c.slow(); err != nil {
		return err
	}
	if _, err := c.diskReserve(); err != nil {
		return err
	}
	if _, err := c.cacheSize(); err != nil {
		return err
	}
	if _, err := c.snapshotRate(); err != nil {
		return err
	}
	if _, err := c.maxSnapshot(); err != nil {
		return err
	}
	if err := c.Server.Backup.check(); err != nil {
		return err
	}
	if err := c.External.checkIsolation(); err != nil {
		return err
	}
	if within, err := c.External.fetchTime(); err != nil {
		return err
	} else if _, err := newFetcher(c.External.AllowHosts, within); err != nil {
		return err
	}
	_, err := level(c.Server.LogLevel)
	return err
}

func (b BackupConfig) check() error {
	every, err := b.interval()
	switch {
	case err != nil:
		return fmt.Errorf("server.backup.%w", err)
	case every == 0 && b.Dir == "":
		return nil
	case every < time.Second:
		return errors.New("server.backup.every must be at least 1s")
	case b.Dir == "":
		return errors.New("server.backup.dir is missing: where backups go")
	case strings.HasPrefix(b.Dir, mountPrefix) && !strings.HasPrefix(b.Dir, mountPrefix+"/"):
		return fmt.Errorf("server.backup.dir is %q; a directory of a mount is written as %s/s3/backups", b.Dir, mountPrefix)
	case b.Keep < 1:
		return fmt.Errorf("server.backup.keep is %d; it must be 1 or more", b.Keep)
	}
	return nil
}

// interval is the time between two backups; 0 for none.
func (b BackupConfig) interval() (time.Duration, error) {
	return vfs.Config{"every": b.Every}.Duration("every", 0)
}

// fetchTime is how long a plugin may take to arrive from another server.
func (e ExternalConfig) fetchTime() (time.Duration, error) {
	d, err := vfs.Config{"fetch_timeout": e.FetchTimeout}.Duration("fetch_timeout", usualFetchTime)
	if err == nil && (d < leastFetchTime || d > mostFetchTime) {
		err = fmt.Errorf("fetch_timeout must be %v to %v", leastFetchTime, mostFetchTime)
	}
	if err != nil {
		return 0, fmt.Errorf("external_plugins.%w", err)
	}
	return d, nil
}

// slow is from when on a request is told as slow; 0 for never.
func (c *Config) slow() (time.Duration, error) {
	return vfs.Config{"slow_request": c.Server.Slow}.Duration("slow_request", time.Second)
}

// snapshotRate returns how many bytes a second another node is sent.
func (c *Config) snapshotRate() (int64, error) {
	n, err := vfs.Config{"snapshot_rate": c.Cluster.SnapshotRate}.Size("snapshot_rate", 0)
	if err == nil && n < 64<<10 {
		err = errors.New("snapshot_rate must be at least 64KB a second")
	}
	if err != nil {
		return 0, fmt.Errorf("cluster.%w", err)
	}
	return n, nil
}

// diskReserve returns the bytes that are to stay free; 0 lets the node choose.
func (c *Config) diskReserve() (int64, error) {
	n, err := vfs.Config{"disk_reserve": c.Cluster.DiskReserve}.Size("disk_reserve", 0)
	if err != nil {
		return 0, fmt.Errorf("cluster.%w", err)
	}
	return n, nil
}

// maxSnapshot returns how many bytes a snapshot from a leader may have.
func (c *Config) maxSnapshot() (int64, error) {
	n, err := vfs.Config{"max_snapshot": c.Cluster.MaxSnapshot}.Size("max_snapshot", 0)
	if err == nil && n < 1 {
		err = errors.New("max_snapshot must be at least 1")
	}
	if err != nil {
		return 0, fmt.Errorf("cluster.%w", err)
	}
	return n, nil
}

// breaker says after how many ends the process of a plugin is left alone. A zero
// field is the default.
func (e ExternalConfig) breaker() (p supervise.Plan, err error) {
	if p.Crashes = e.Crashes; p.Crashes < 0 || p.Crashes > 1000 {
		return p, errors.New("external_plugins.crashes must be 1 to 1000")
	}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"crash_window", e.CrashWindow, &p.Within}, {"retry_after", e.RetryAfter, &p.Again}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to < time.Second {
			return p, fmt.Errorf("external_plugins.%s must be a duration of 1s or more, such as 10m", d.name)
		}
	}
	return p, nil
}

func (c *Config) chunkGrace() (time.Duration, error) {
	d, err := vfs.Config{"chunk_grace": c.Cluster.ChunkGrace}.Duration("chunk_grace", 10*time.Minute)
	if err == nil && d < time.Second {
		err = errors.New("cluster.chunk_grace must be at least 1s")
	}
	return d, err
}
