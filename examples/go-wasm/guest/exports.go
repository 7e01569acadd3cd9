//go:build wasip1

package guest

import (
	"encoding/json"
)

//go:wasmexport plugin_new
func pluginNew() uint32 { return 1 }

//go:wasmexport plugin_name
func pluginName() uint32 { return text(plugin.name) }

//go:wasmexport plugin_get_readme
func pluginReadme() uint32 { return text(plugin.readme) }

//go:wasmexport plugin_get_config_params
func pluginParams() uint32 {
	c, ok := plugin.fs.(Configurer)
	if !ok {
		return 0
	}
	b, _ := json.Marshal(c.Params())
	return text(string(b))
}

//go:wasmexport plugin_validate
func pluginValidate(config uint32) uint32 {
	return configured(config, Configurer.Validate)
}

//go:wasmexport plugin_initialize
func pluginInitialize(config uint32) uint32 {
	return configured(config, Configurer.Initialize)
}

func configured(config uint32, do func(Configurer, map[string]any) error) uint32 {
	c, ok := plugin.fs.(Configurer)
	if !ok {
		return 0
	}
	var m map[string]any
	err := json.Unmarshal([]byte(str(config)), &m)
	if err == nil {
		err = do(c, m)
	}
	return fault(err)
}

//go:wasmexport plugin_shutdown
func pluginShutdown() uint32 { return 0 }

//go:wasmexport fs_stat
func fsStat(path uint32) uint64 {
	i, err := plugin.fs.Stat(str(path))
	if err != nil {
		return pair(0, fault(err))
	}
	return pair(told(appendInfo(output[:0], i)), 0)
}

//go:wasmexport fs_readdir
func fsReaddir(path uint32) uint64 {
	list, err := plugin.fs.List(str(path))
	if err != nil {
		return pair(0, fault(err))
	}
	return pair(told(appendInfos(output[:0], list)), 0)
}

//go:wasmexport fs_read
func fsRead(path uint32, off, size int64) uint64 {
	b, err := plugin.fs.Read(str(path), off, size)
	if err != nil {
		return 0
	}
	return pair(put(b), uint32(len(b)))
}

//go:wasmexport fs_write
func fsWrite(path, data, n uint32, off int64, flags uint32) uint64 {
	var done int
	err := change(func(c Changer) (err error) {
		done, err = c.Write(str(path), read(data, n), off, flags)
		return err
	})
	return pair(uint32(done), err)
}

//go:wasmexport fs_create
func fsCreate(path uint32) uint32 {
	return change(func(c Changer) error { return c.Create(str(path)) })
}

//go:wasmexport fs_mkdir
func fsMkdir(path, mode uint32) uint32 {
	return change(func(c Changer) error { return c.Mkdir(str(path), mode) })
}

//go:wasmexport fs_remove
func fsRemove(path uint32) uint32 {
	return change(func(c Changer) error { return c.Remove(str(path)) })
}

//go:wasmexport fs_remove_all
func fsRemoveAll(path uint32) uint32 {
	return change(func(c Changer) error { return c.RemoveAll(str(path)) })
}

//go:wasmexport fs_rename
func fsRename(from, to uint32) uint32 {
	return change(func(c Changer) error { return c.Rename(str(from), str(to)) })
}

//go:wasmexport fs_chmod
func fsChmod(path, mode uint32) uint32 {
	return change(func(c Changer) error { return c.Chmod(str(path), mode) })
}

// change does it, or says that the plugin cannot be written to.
func change(do func(Changer) error) uint32 {
	c, ok := plugin.fs.(Changer)
	if !ok {
		return fault(ErrReadOnly)
	}
	return fault(do(c))
}
