# Gaia. `make` lists what there is to type.

.DEFAULT_GOAL := help
SHELL := /bin/bash
# cuda, vulkan or metal: `make build FEATURES=cuda`
FEATURES ?=

.PHONY: help setup build run stop test test-fast bench bench-domain conformance fuzz page contracts demo-domain clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing, into the cache folder; quiet when nothing is
	@scripts/setup.sh

build: setup ## compile target/release/gaia, its WasmEdge plugin and api-server.wasm
	@scripts/build.sh "$(FEATURES)"

run: build ## start a node with the handbook as its knowledge and print its address
	@scripts/run.sh

stop: ## stop that node
	@target/release/gaia stop

test: ## everything CI checks: format, lints, licences, unit, end-to-end, browser, chaos
	@scripts/test.sh

test-fast: build ## unit tests of the crates only
	@scripts/cargo.sh test --release

bench: build ## measure this machine: first token, tokens a second, ingestion, memory
	@scripts/bench.sh

bench-domain: build ## measure a domain's gateway beside HAProxy and LiteLLM before the same nodes
	@scripts/bench-domain.sh

conformance: build ## hold the node against other people's tests; the table goes to docs/conformance.md
	@python3 tests/conformance/run.py

fuzz: setup ## fuzz what reads strangers' files, five minutes each
	@scripts/fuzz.sh 300

page: ## build the chat page from web/ into web/dist (needs Node)
	@cd web && npm ci --silent && npm run --silent build

demo-domain: build ## a whole domain on this machine: chain, gateway, three nodes, a user who pays
	@scripts/demo-domain.sh

contracts: setup ## check the contracts: format, static analysis, unit, fuzz, invariants, a deployment to a chain of its own
	@bash scripts/setup/node.sh && scripts/contracts.sh setup && scripts/contracts.sh check

clean: ## forget compiled programs; the cache of downloads stays
	@rm -rf target
