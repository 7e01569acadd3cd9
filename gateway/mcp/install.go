package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pfs-project/pfs/vfs"
)

// Launch is how an agent starts the server.
type Launch struct {
	Name    string   `json:"-"` // of the entry, as "pfs"
	Type    string   `json:"type,omitempty"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// Places are where the configuration files of agents are found.
type Places struct {
	Project string // the directory of a project: the current one
	Home    string
	Config  string // of applications of the user, as os.UserConfigDir
	Codex   string // CODEX_HOME; "" for .codex in Home
}

// agentFile is the configuration of one kind of agent.
type agentFile struct {
	path func(Places) string
	key  string // of the object that has the servers; "" for TOML
	kind string // of a server, where that is said
}

// agents are those whose configuration is known:
//
//   - Claude Code: https://docs.claude.com/en/docs/claude-code/mcp (the project's file)
//   - Claude Desktop: https://modelcontextprotocol.io/docs/develop/connect-local-servers
//   - Codex: https://developers.openai.com/codex/mcp
//   - Cursor: https://docs.cursor.com/context/mcp
//   - Gemini CLI: https://geminicli.com/docs/tools/mcp-server
//   - VS Code: https://code.visualstudio.com/docs/copilot/customization/mcp-servers
//   - Windsurf: https://docs.windsurf.com/windsurf/cascade/mcp
func agents() map[string]agentFile {
	const usual = "mcpServers"
	return map[string]agentFile{
		"claude-code":    {func(p Places) string { return filepath.Join(p.Project, ".mcp.json") }, usual, "stdio"},
		"claude-desktop": {func(p Places) string { return filepath.Join(p.Config, "Claude", "claude_desktop_config.json") }, usual, ""},
		"codex":          {codexFile, "", ""},
		"cursor":         {func(p Places) string { return filepath.Join(p.Home, ".cursor", "mcp.json") }, usual, ""},
		"gemini":         {func(p Places) string { return filepath.Join(p.Home, ".gemini", "settings.json") }, usual, ""},
		"vscode":         {func(p Places) string { return filepath.Join(p.Project, ".vscode", "mcp.json") }, "servers", "stdio"},
		"windsurf":       {func(p Places) string { return filepath.Join(p.Home, ".codeium", "windsurf", "mcp_config.json") }, usual, ""},
	}
}

func codexFile(p Places) string {
	if p.Codex != "" {
		return filepath.Join(p.Codex, "config.toml")
	}
	return filepath.Join(p.Home, ".codex", "config.toml")
}

// nameLetters are those of names that need no quotes anywhere.
const nameLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// Agents returns the kinds of agents that can be configured, by name.
func Agents() []string { return slices.Sorted(maps.Keys(agents())) }

// Installed is what the configuration of an agent is to be.
type Installed struct {
	File string // its path
	Text string // its whole content
	Same bool   // it is so already
}

// Plan returns what the configuration of a kind of agent is with l in it: all else
// stays as it is, but for white space in JSON. An error is vfs.Invalid: there is no
// such agent, or its file cannot be understood.
func Plan(agent string, at Places, l Launch) (Installed, error) {
	a, ok := agents()[agent]
	if !ok {
		why := fmt.Sprintf("agent %q is not known; there are %s", agent, strings.Join(Agents(), ", "))
		if near := vfs.Nearest(agent, Agents()); near != "" {
			why += fmt.Sprintf("; did you mean %s?", near)
		}
		return Installed{}, vfs.Invalid.With(why)
	}
	if strings.Trim(l.Name, nameLetters) != "" || l.Name == "" {
		return Installed{}, vfs.Invalid.Withf("name %q is not of letters, digits, _ and -", l.Name)
	}
	in := Installed{File: a.path(at)}
	old, err := os.ReadFile(in.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return in, err
	}
	l.Type = a.kind
	if a.key == "" {
		in.Text, err = addTOML(string(old), l)
	} else {
		in.Text, err = addJSON(old, a.key, l)
	}
	if err != nil {
		return in, vfs.Invalid.Withf("%s: %v; it is left as it is", in.File, err)
	}
	in.Same = in.Text == string(old)
	return in, nil
}

// Write replaces the file, or makes it with its directory: all of it or nothing. A
// link is followed; mode and owner's rights stay.
func (in Installed) Write() error {
	file := in.File
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	mode := fs.FileMode(0o600)
	if st, err := os.Stat(file); err == nil {
		mode = st.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".pfs-mcp-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(in.Text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// addTOML adds a table at the end. There must be none for the server, as it would
// take more than this to change one.
func addTOML(old string, l Launch) (string, error) {
	table := "[mcp_servers." + l.Name + "]"
	entry := fmt.Sprintf("%s\ncommand = %s\nargs = [%s]\n", table, quoteTOML(l.Command), joinTOML(l.Args))
	if strings.Contains(old, entry) {
		return old, nil
	}
	for line := range strings.Lines(old) {
		bare := strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "").Replace(line)
		if strings.HasPrefix(bare, table) {
			return "", fmt.Errorf("it has a table %s already: give that command = %s and args = [%s]", table, quoteTOML(l.Command), joinTOML(l.Args))
		}
	}
	if old != "" && !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	if old != "" {
		old += "\n"
	}
	return old + entry, nil
}

func joinTOML(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = quoteTOML(s)
	}
	return strings.Join(quoted, ", ")
}

// quoteTOML is a basic string (https://toml.io/en/v1.0.0#string): what JSON escapes
// is escaped alike.
func quoteTOML(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // not of a string
	}
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}
