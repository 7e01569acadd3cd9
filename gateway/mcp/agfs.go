package mcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pfs-project/pfs/vfs"
)

// The tools of agfs-mcp, with its names, parameters and defaults, so that prompts
// that were written for it go on working. They answer text.

// agfs adds one of them.
func agfs[In any](s *Server, m *sdk.Server, name, doc string, h hints, do func(context.Context, In) (string, error)) {
	tool(s, m, name, doc, h, func(ctx context.Context, in In) (*sdk.CallToolResult, any, error) {
		said, err := do(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: said}}}, nil, nil
	})
}

// addAGFS adds all of them.
func (s *Server) addAGFS(m *sdk.Server) {
	reads, changes := hints{reads: true, repeats: true}, hints{destroys: true}
	agfs(s, m, "agfs_ls", "List a directory.", reads, s.agfsLs)
	agfs(s, m, "agfs_stat", "Describe a file or directory.", reads, s.agfsStat)
	agfs(s, m, "agfs_grep", "Find lines that match a regular expression.", reads, s.agfsGrep)
	agfs(s, m, "agfs_mounts", "List the mounts.", reads, s.agfsMounts)
	agfs(s, m, "agfs_health", "Tell whether the server is ready.", reads, s.agfsHealth)
	// Reading the dequeue file of a queue takes a message, as its users expect.
	cat := changes
	if s.cfg.ReadOnly {
		cat = reads
	}
	agfs(s, m, "agfs_cat", "Read a file; dequeue of a queue gives a message and removes it.", cat, s.agfsCat)
	agfs(s, m, "agfs_write", "Replace a file.", changes, s.agfsWrite)
	agfs(s, m, "agfs_mkdir", "Make a directory.", hints{}, s.agfsMkdir)
	agfs(s, m, "agfs_rm", "Remove a file or directory.", changes, s.agfsRm)
	agfs(s, m, "agfs_mv", "Rename a file or directory.", changes, s.agfsMv)
	agfs(s, m, "agfs_mount", "Mount a plugin.", changes, s.agfsMount)
	agfs(s, m, "agfs_unmount", "Unmount a plugin.", changes, s.agfsUnmount)
	agfs(s, m, "agfs_cp", "Copy a file or directory within the tree.", changes, s.agfsCp)
	agfs(s, m, "agfs_upload", "Copy a local file or directory into the tree.", changes, s.agfsUpload)
	agfs(s, m, "agfs_download", "Copy a file or directory of the tree to the local disk.", hints{destroys: true, outside: true}, s.agfsDownload)
	agfs(s, m, "agfs_notify", "Send a message to another agent's queue.", hints{}, s.agfsNotify)
}

type agfsPath struct {
	Path string `json:"path,omitempty"`
}

func (s *Server) agfsLs(ctx context.Context, in agfsPath) (string, error) {
	if in.Path == "" {
		in.Path = string(s.root)
	}
	_, out, err := s.list(ctx, listIn{Path: in.Path, Limit: maxEntries})
	return asJSON(out), err
}

func (s *Server) agfsStat(ctx context.Context, in agfsPath) (string, error) {
	p, err := s.found(ctx, in.Path, false)
	if err != nil {
		return "", err
	}
	return asJSON(p.info), nil
}

type agfsGrep struct {
	Path       string `json:"path"`
	Pattern    string `json:"pattern"`
	Recursive  bool   `json:"recursive,omitempty"`
	IgnoreCase bool   `json:"case_insensitive,omitempty"`
}

func (s *Server) agfsGrep(ctx context.Context, in agfsGrep) (string, error) {
	p, err := s.found(ctx, in.Path, true)
	if err == nil && p.info.IsDir && !in.Recursive {
		err = hint(vfs.IsDirectory.Withf("%s is a directory", p.named), "Set recursive to search what is below it")
	}
	if err != nil {
		return "", err
	}
	_, out, err := s.search(ctx, searchIn{Path: in.Path, Pattern: in.Pattern, IgnoreCase: in.IgnoreCase, Limit: maxMatches})
	return asJSON(out), err
}

func (s *Server) agfsMounts(ctx context.Context, _ struct{}) (string, error) {
	out, err := s.mountList(ctx)
	return asJSON(out), err
}

func (s *Server) agfsHealth(ctx context.Context, _ struct{}) (string, error) {
	if err := s.cfg.Client.Ready(ctx); err != nil {
		return "", err
	}
	return "healthy", nil
}

type agfsCat struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset,omitempty"`
	Size   *int64 `json:"size,omitempty"`
}

// agfsCat reads bytes; what is not text comes as base64 below a line that says so.
func (s *Server) agfsCat(ctx context.Context, in agfsCat) (string, error) {
	p, err := s.found(ctx, in.Path, true)
	switch {
	case err != nil:
		return "", err
	case in.Offset < 0:
		return "", vfs.Invalid.With("offset must not be negative")
	case !s.cfg.ReadOnly && p.info.Consumes() && in.Offset == 0 && (in.Size == nil || *in.Size < 0):
		b, err := s.cfg.Client.ReadFile(ctx, string(p.path))
		return shown(b), err
	}
	if p, err = s.readable(ctx, in.Path); err != nil {
		return "", err
	}
	size, cut := int64(maxText), false
	if in.Size != nil && *in.Size >= 0 {
		size, cut = min(*in.Size, maxText), *in.Size > maxText
	} else {
		cut = p.info.Size-in.Offset > maxText
	}
	b, err := s.part(ctx, p, in.Offset, size)
	if err != nil {
		return "", err
	}
	if cut && int64(len(b)) == size {
		return shown(b) + fmt.Sprintf("\n[truncated: %d of %d bytes; go on with offset %d]", size, p.info.Size, in.Offset+size), nil
	}
	return shown(b), nil
}

// shown is text as it is, and other bytes in base64.
func shown(b []byte) string {
	if isText(b, true) {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return fmt.Sprintf("[Binary file, %d bytes, base64 encoded]\n%s", len(b), base64.StdEncoding.EncodeToString(b))
}

type agfsWrite struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

func (s *Server) agfsWrite(ctx context.Context, in agfsWrite) (said string, err error) {
	if len(in.Content) > maxContent {
		return "", vfs.TooLarge.Withf("content has %d bytes, at most %d", len(in.Content), maxContent)
	}
	err = settled(ctx, 0, func() error {
		p, err := s.at(ctx, in.Path, true)
		if err != nil {
			return err
		}
		w, err := s.fill(ctx, p, writeIn{Content: in.Content})
		said = w.Message
		return err
	})
	return said, err
}

type agfsMkdir struct {
	Path string `json:"path"`
	Mode string `json:"mode,omitempty"`
}

func (s *Server) agfsMkdir(ctx context.Context, in agfsMkdir) (string, error) {
	mode, err := strconv.ParseUint("0"+in.Mode, 8, 32)
	if err != nil {
		return "", vfs.Invalid.Withf("mode %q is not octal, as 755", clip(in.Mode, 20))
	}
	if in.Mode == "" {
		mode = 0o755
	}
	p, err := s.at(ctx, in.Path, false)
	if err == nil {
		err = s.cfg.Client.Mkdir(ctx, string(p.path), uint32(mode))
	}
	return "Created " + string(p.named), err
}

type agfsRm struct {
	Path      string `json:"path"`
	Recursive bool   `json:"recursive,omitempty"`
}

func (s *Server) agfsRm(ctx context.Context, in agfsRm) (string, error) {
	_, out, err := s.remove(ctx, removeIn(in))
	return "Removed " + out.Path, err
}

type agfsMv struct {
	Old string `json:"old_path"`
	New string `json:"new_path"`
}

func (s *Server) agfsMv(ctx context.Context, in agfsMv) (string, error) {
	_, out, err := s.move(ctx, moveIn{From: in.Old, To: in.New})
	return "Renamed to " + out.Path, err
}

type agfsMount struct {
	Type   string         `json:"fstype"`
	Path   string         `json:"path"`
	Config map[string]any `json:"config,omitempty"`
}

func (s *Server) agfsMount(ctx context.Context, in agfsMount) (string, error) {
	_, err := s.changeMounts(ctx, mountsIn{Action: "mount", Path: in.Path, Type: in.Type, Settings: in.Config})
	return "Mounted " + in.Type + " at " + in.Path, err
}

func (s *Server) agfsUnmount(ctx context.Context, in agfsPath) (string, error) {
	_, err := s.changeMounts(ctx, mountsIn{Action: "unmount", Path: in.Path})
	return "Unmounted " + in.Path, err
}

type agfsNotify struct {
	To   string `json:"to"`
	From string `json:"from"`
	Data string `json:"data"`
	Root string `json:"queuefs_root,omitempty"`
}

// agfsNotify makes both queues and puts a message into that of the addressee.
func (s *Server) agfsNotify(ctx context.Context, in agfsNotify) (string, error) {
	if in.Root == "" {
		in.Root = "/queuefs"
	}
	for _, name := range []string{in.To, in.From} {
		if name == "" || strings.Contains(name, "/") || name == ".." || name == "." {
			return "", vfs.Invalid.Withf("agent %q: to and from are names without a slash", clip(name, 50))
		}
		p, err := s.at(ctx, in.Root+"/"+name, true)
		if err == nil && p.info == nil {
			err = s.mkdirs(ctx, p.path)
		}
		if err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]string{"from": in.From, "to": in.To, "message": in.Data, "timestamp": time.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return "", err
	}
	_, out, err := s.queue(ctx, queueIn{Action: "put", Queue: in.Root + "/" + in.To, Data: string(b)})
	return "Sent as " + out.ID, err
}
