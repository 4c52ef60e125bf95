# `make` checks the code and runs the tests; `make help` lists the rest.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHARED ?= ../shared

.DEFAULT_GOAL := check
.PHONY: check help demo test test-integration test-end-to-end test-lowest lint format docs lock venv chaos fuzz \
	bench-agent bench-resolve bench-processor bench-processor-memory bench-processor-recovery bench-processor-latency \
	bench-export bench-page test-page screenshots test-cluster cluster-test soak \
	scale fresh-clone bench-gate benchmarks benchmarks-page clean lint-images audit licences

check: lint test ## lint + test

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# Nothing here goes to stdout: `make demo` prints the graph and nothing else there.
$(READY): requirements.lock pyproject.toml
	@echo "making $(VENV) from requirements.lock" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) >&2
	@$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python --requirements requirements.lock >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . >&2
	@touch $@

venv: $(READY) ## the virtual environment, from the locked dependencies

demo: $(READY) ## a shop's traffic through the whole pipeline, on this machine
	@$(BIN)/whocalls demo

test: $(READY) ## unit tests, properties and the conformance cases (under 5 minutes)
	$(BIN)/pytest tests/unit tests/property tests/storm
	@if [ -d $(SHARED)/conformance ] || [ "$$WHOCALLS_TEST_SKIPS" = forbidden ]; then \
		$(BIN)/python -m tests.conformance $(SHARED)/conformance/identity_cases.json \
			$(SHARED)/conformance/network_mapper_cases.json; \
	else echo "conformance cases skipped: there is no $(SHARED)/conformance (SHARED=DIR to look elsewhere)"; fi

test-integration: $(READY) ## the programs against a real broker (WHOCALLS_TEST_KAFKA chooses)
	$(BIN)/pytest tests/integration

test-end-to-end: $(READY) ## whole processes, network namespaces, real packets (root)
	$(BIN)/pytest tests/end_to_end

test-page: $(READY) tests/page/node_modules ## the live page in Debian's chromium (and npm, for axe-core and prettier)
	tests/page/node_modules/.bin/prettier --print-width 120 --check 'sink_exporter/page/*.{js,css}'
	$(BIN)/pytest tests/page

tests/page/node_modules: tests/page/package-lock.json
	cd tests/page && npm ci --silent
	@touch $@

cluster-test: $(READY) ## a whole cluster in a box, scenario by scenario (root, Go, Java; SCENARIOS=shop,reuse)
	WHOCALLS_TEST_KAFKA=apache $(BIN)/pytest tests/cluster

soak: $(READY) ## the box for an hour, with faults on schedule (root; SOAK_SECONDS, 3600)
	$(BIN)/python -m tests.cluster.soak --seconds $${SOAK_SECONDS:-3600}

scale: $(READY) ## clusters of 1,000 and 5,000 nodes into one processor: build/bench/scale.json
	$(BIN)/python -m benchmarks.scale

fresh-clone: $(READY) ## the README's two commands in a root with nothing in it (root, debootstrap)
	$(BIN)/python -m benchmarks.fresh_clone

test-cluster: $(READY) ## the watcher's tests against the cluster of $KUBECONFIG
	WHOCALLS_TEST_CLUSTER=1 $(BIN)/pytest tests/integration/test_watcher_cluster.py

chaos: $(READY) ## kill everything, over and over, and compare the graph with the truth (CHAOS_SECONDS, 600)
	$(BIN)/python -m tests.chaos --seconds $${CHAOS_SECONDS:-600}

fuzz: ## coverage-guided fuzzing of the decoders (FUZZ_SECONDS, 300)
	$(PYTHON) -m venv build/fuzz-venv
	build/fuzz-venv/bin/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0 msgspec
	build/fuzz-venv/bin/python -m tests.fuzz.dns --seconds $${FUZZ_SECONDS:-300} --corpus build/fuzz/dns

bench-agent: $(READY) ## the agent beside gopacket and tcpdump (root): build/bench/agent.json
	$(BIN)/python -m benchmarks.agent

bench-resolve: $(READY) ## the resolver: build/bench/resolve.json
	$(BIN)/python -m benchmarks.resolve

bench-processor: $(READY) ## the stream processor on Apache Kafka: build/bench/processor.json
	$(BIN)/python -m benchmarks.processor

bench-processor-memory: $(READY) ## its memory over 20 million observations: build/bench/processor_memory.json
	$(BIN)/python -m benchmarks.processor_memory

bench-processor-recovery: $(READY) ## its start behind 100,000 pods and edges: build/bench/processor_recovery.json
	$(BIN)/python -m benchmarks.processor_recovery

bench-processor-latency: $(READY) ## from the packet to the graph, quiet (root): build/bench/processor_latency.json
	$(BIN)/python -m benchmarks.processor_latency

bench-export: $(READY) ## the exporter: build/bench/export.json
	$(BIN)/python -m benchmarks.export

bench-page: $(READY) ## the live page and its server at two sizes: build/bench/page.json
	$(BIN)/python -m benchmarks.page

screenshots: $(READY) ## the pictures of the page in docs/screenshots
	$(BIN)/python -m docs.screenshots

bench-gate: $(READY) ## fail where a hot function has become twice as slow as its peer
	$(BIN)/python -m benchmarks.gate

BENCHES := $(shell grep -oE '^bench-[a-z-]+:' Makefile | tr -d :)

benchmarks: $(BENCHES) scale ## every benchmark, one after another

benchmarks-page: $(READY) ## take the results in build/ into docs/results/, and write the pages
	$(BIN)/python docs/result_pages.py
	$(BIN)/python docs/generate.py

test-lowest: ## unit tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct \
		--editable '.[all]' --group dev
	build/lowest/bin/pytest tests/unit

lint: $(READY) ## ruff, mypy, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

lint-images: $(READY) ## hadolint, compose-lint, and compose's own reading of its file
	$(BIN)/hadolint --failure-threshold style Dockerfile
	$(BIN)/compose-lint --fail-on low docker-compose.yml
	$(BIN)/docker-compose --profile live --profile monitoring config --quiet

audit: $(READY) ## known vulnerabilities of the locked packages (6: the database was not reached)
	@mkdir -p build
	@$(PYTHON) -m venv build/audit-venv
	@build/audit-venv/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	-@build/audit-venv/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off \
		--format json --output build/audit.json >build/audit.log 2>&1
	@$(BIN)/python -m tests.deployment.audit build/audit.json

licences: $(READY) ## the licence of every locked package
	@$(BIN)/python -m tests.deployment.licences

format: $(READY) ## reformat the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## regenerate the reference pages, the chart's schema and its golden files
	$(BIN)/python docs/generate.py
	$(BIN)/python -m tests.deployment.regenerate

lock: $(READY) ## resolve the dependencies anew
	$(BIN)/uv lock --quiet --upgrade
	$(BIN)/uv export --quiet --all-extras --group dev --no-emit-project --no-header --no-annotate \
		--format requirements-txt --output-file requirements.lock

clean: ## remove what was built
	rm -rf build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
