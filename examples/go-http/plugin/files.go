package plugin

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// File is what the host is told of a file.
type File struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	Mode    uint32    `json:"mode,omitempty"` // permission bits
	IsDir   bool      `json:"isDir,omitempty"`
	ModTime time.Time `json:"modTime"`
}

// FileSystem is what a plugin must be able to do. Paths begin with a slash and are
// clean. Calls come from many goroutines at once.
type FileSystem interface {
	Stat(path string) (File, error)
	// List returns the files in a directory, in any order.
	List(path string) ([]File, error)
	// Read fills b from an offset and returns how much; less is the end of the file.
	Read(path string, b []byte, off int64) (int, error)
}

// Writer is a FileSystem with the verbs create, mkdir, write, remove and rename.
// Changes come one at a time.
type Writer interface {
	FileSystem
	Create(path string, mode uint32) error
	Mkdir(path string, mode uint32) error
	Write(path string, data []byte, w Writing) error
	Remove(path string, recursive bool) error
	Rename(path, to string) error
}

// Writing says how bytes are written.
type Writing struct {
	Off       int64
	Append    bool // behind the end; Off does not count
	Create    bool // make the file if it is missing
	Exclusive bool // Exists if it is there
	Truncate  bool // drop the old content first
	Mode      uint32
}

// Setter is a Writer with the verbs truncate, chmod and touch: fields that are nil
// stay as they are.
type Setter interface {
	SetAttr(path string, size *int64, mode *uint32, touch bool) error
}

// Putter is a Writer with the verb put: a whole file comes in one request and takes the
// place of the old one at once; readers see the old one until then. After an error of
// r nothing has changed. w.Truncate is set, w.Off is 0.
type Putter interface {
	Put(path string, r io.Reader, w Writing) (int64, error)
}

// maxRead is what one read is answered with at most, in bytes.
const maxRead = 4 << 20

// Serve makes a FileSystem the handler of the contract.
func Serve(f FileSystem) http.Handler {
	mux := http.NewServeMux()
	on := func(name string, do func(w http.ResponseWriter, in call) error) {
		mux.HandleFunc("POST /v1/fs/"+name, func(w http.ResponseWriter, r *http.Request) {
			var in call
			if json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&in) != nil {
				Fail(w, Invalid)
			} else if err := do(w, in); err != nil {
				Fail(w, err)
			}
		})
	}
	on("stat", func(w http.ResponseWriter, in call) error {
		file, err := f.Stat(in.Path)
		if err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(file)
	})
	on("list", func(w http.ResponseWriter, in call) error {
		list, err := f.List(in.Path)
		for _, file := range list {
			json.NewEncoder(w).Encode(file) // one a line
		}
		return err
	})
	mux.HandleFunc("GET /v1/fs/read", func(w http.ResponseWriter, r *http.Request) {
		off, err1 := strconv.ParseInt(r.FormValue("off"), 10, 64)
		n, err2 := strconv.Atoi(r.FormValue("len"))
		if err1 != nil || err2 != nil || off < 0 || n < 0 || n > maxRead {
			Fail(w, Invalid)
			return
		}
		b := make([]byte, n)
		n, err := f.Read(r.FormValue("path"), b, off)
		if err != nil && err != io.EOF {
			Fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(n)) // or it goes in chunks
		w.Write(b[:n])
	})
	if wr, ok := f.(Writer); ok {
		changes(mux, on, wr)
	}
	return mux
}

type call struct {
	Path      string  `json:"path"`
	To        string  `json:"to"`
	Mode      *uint32 `json:"mode"`
	Size      *int64  `json:"size"`
	Touch     bool    `json:"touch"`
	Recursive bool    `json:"recursive"`
}

func (c call) mode() uint32 {
	if c.Mode == nil {
		return 0
	}
	return *c.Mode
}

func changes(mux *http.ServeMux, on func(string, func(http.ResponseWriter, call) error), f Writer) {
	on("create", func(_ http.ResponseWriter, in call) error { return f.Create(in.Path, in.mode()) })
	on("mkdir", func(_ http.ResponseWriter, in call) error { return f.Mkdir(in.Path, in.mode()) })
	on("remove", func(_ http.ResponseWriter, in call) error { return f.Remove(in.Path, in.Recursive) })
	on("rename", func(_ http.ResponseWriter, in call) error { return f.Rename(in.Path, in.To) })
	if s, ok := f.(Setter); ok {
		on("setattr", func(_ http.ResponseWriter, in call) error { return s.SetAttr(in.Path, in.Size, in.Mode, in.Touch) })
	}
	mux.HandleFunc("PUT /v1/fs/write", func(w http.ResponseWriter, r *http.Request) {
		how, ok := writing(r)
		data, err := io.ReadAll(io.LimitReader(r.Body, maxRead+1))
		if !ok || err != nil || len(data) > maxRead {
			Fail(w, Invalid)
			return
		}
		if err = f.Write(r.URL.Query().Get("path"), data, how); err != nil {
			Fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(map[string]int{"bytes": len(data)})
	})
	if p, ok := f.(Putter); ok {
		mux.HandleFunc("PUT /v1/fs/put", func(w http.ResponseWriter, r *http.Request) {
			how, ok := writing(r)
			if !ok {
				Fail(w, Invalid)
				return
			}
			n, err := p.Put(r.URL.Query().Get("path"), r.Body, how)
			if err != nil {
				Fail(w, err)
				return
			}
			json.NewEncoder(w).Encode(map[string]int64{"bytes": n})
		})
	}
}

// writing reads how the bytes of a request are written.
func writing(r *http.Request) (w Writing, ok bool) {
	q := r.URL.Query()
	flags := strings.Split(q.Get("flags"), ",")
	off, err := strconv.ParseInt("0"+q.Get("off"), 10, 64)
	mode, err2 := strconv.ParseUint("0"+q.Get("mode"), 8, 32)
	return Writing{
		Off: off, Mode: uint32(mode), Append: slices.Contains(flags, "append"), Create: slices.Contains(flags, "create"),
		Exclusive: slices.Contains(flags, "exclusive"), Truncate: slices.Contains(flags, "truncate"),
	}, err == nil && err2 == nil
}
