module github.com/pfs-project/pfs/examples/go-wasm

go 1.26.0
