module github.com/pfs-project/pfs/examples/go-wasi

go 1.26.0
