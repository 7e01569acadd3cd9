# PFS. `make run` and `make test` are the two commands to know; `make help`
# lists the others.
GO       ?= go
GOTEST   ?= $(GO) test
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILT    ?= $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
PKG      := github.com/pfs-project/pfs/server
LDFLAGS  := -s -w -X $(PKG).version=$(VERSION) -X $(PKG).gitCommit=$(COMMIT) -X $(PKG).buildTime=$(BUILT)
PREFIX   ?= $(HOME)/.local
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64
export CGO_ENABLED = 0

.PHONY: help build run dev test check demo bench bench-peers soak cross install clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build/pfs-server and build/pfs, static; build/pfs-plugin-host, on the system's C library
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o build/ ./cmd/pfs-server ./cmd/pfs ./cmd/pfs-plugin-host

run: build ## build, then start one durable node on 127.0.0.1:8080
	./build/pfs-server

dev: build ## one node with debug log and data in build/dev-data
	./build/pfs-server -log-level debug -data-dir build/dev-data

test: build ## everything fast: vet, the house's rules, unit, black-box and fault tests
	@$(GO) vet ./...
	@$(GO) vet -tags inprocess ./ffi/... ./server ./cmd/pfs-server
	@$(GOTEST) -tags=inprocess -run=TestIsolation ./server
	@$(GOTEST) -timeout=30m $$($(GO) list ./... | grep -vE '/(test|soak)$$')
	@$(GOTEST) -timeout=60m -parallel=4 ./test
	@$(GOTEST) -timeout=30m ./soak

check: ## gofmt, vet, and all tests under the race detector
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -v '/soak$$')

demo: build ## three nodes on this machine, a killed leader, nothing lost
	@scripts/demo.sh

bench: build ## figures of one node and of three on this machine
	./build/pfs bench

bench-peers: build ## PFS beside etcd, Redis, NATS, nginx and others; writes docs/benchmarks.md
	@scripts/peers.sh
	$(GO) build -trimpath -o build/ ./scripts/benchpeers
	./build/benchpeers -pfs build/pfs -dir build -page docs/benchmarks.md -json build/benchmarks.json

soak: build ## the long forms of the fault tests
	PFS_SOAK=1 $(GO) test -count=1 -timeout 4h ./test/... ./cluster -v
	PFS_SOAK=1 $(GO) test -count=1 -timeout 4h ./soak -v

cross: ## builds for all platforms
	@for p in $(PLATFORMS); do echo "$$p"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o build/$$p/ ./cmd/pfs-server ./cmd/pfs ./cmd/pfs-plugin-host || exit 1; done

install: build ## copy the programs to $(PREFIX)/bin
	install -d $(PREFIX)/bin
	install -m 0755 build/pfs-server build/pfs build/pfs-plugin-host $(PREFIX)/bin/

clean: ## remove what was built
	rm -rf build dist
