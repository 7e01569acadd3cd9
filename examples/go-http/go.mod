module github.com/pfs-project/pfs/examples/go-http

go 1.26.0
