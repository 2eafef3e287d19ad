# Every command of the project. `make help` lists them; each one first makes ready what it needs, once.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python from 3.11 to 3.14 on PATH; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for name in python3 python3.12 python3.11 python3.13 python3.14; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo "$$name" && break; \
	done)
BIN := .venv/bin
SOURCES := span_processors instrumentation viewer_api migrations
CHECKED := $(SOURCES) examples benchmarks scripts hatch_build.py tests

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: env web ## Start everything with an example gateway and its traffic, and print one address to open
	@$(BIN)/spanflow up --demo

.PHONY: test
test: env web chromium collector ## Run the test suite (about half an hour on 2 cores; with Go, a Collector is built first, once)
	@$(BIN)/pytest -m "not long and not chaos" $(ARGS)

# Tests of speed may fail while every line is counted; `make test` judges them, and the floor alone decides here.
.PHONY: coverage
coverage: env web chromium ## Run the test suite and report its coverage; fails below the floor in pyproject.toml
	@-$(BIN)/coverage run -m pytest -m "not long and not chaos" $(ARGS)
	@$(BIN)/coverage report

.PHONY: chaos
chaos: env ## Faults × loads against a real gateway, with exact accounting (15 minutes; SEED and PAIRS choose)
	@CHAOS_SEED='$(SEED)' CHAOS_PAIRS='$(PAIRS)' $(BIN)/pytest tests/chaos -m chaos -o faulthandler_timeout=600 $(ARGS)

.PHONY: test-long
test-long: env web chromium ## Run what takes minutes or needs unusual servers; says what this machine cannot run
	@$(BIN)/pytest -m long -o faulthandler_timeout=2000 $(ARGS)

.PHONY: test-otel-versions
test-otel-versions: env ## Run the tests that OpenTelemetry matters to with older releases of it and the newest (minutes each; ARGS=1.28)
	@$(BIN)/python -m scripts.try_versions suites $(ARGS)

.PHONY: tried
tried: env ## Try all of that and what gateways pin, and write docs/compatibility.json and its page
	@$(BIN)/python -m scripts.try_versions beside --write
	@$(BIN)/python -m scripts.try_versions suites --write
	@$(MAKE) --no-print-directory docs

.PHONY: screenshots
screenshots: env web chromium ## Take a picture of every page of the demo into .cache/screenshots, and renew those of the docs (20 minutes)
	@SCREENSHOTS=.cache/screenshots $(BIN)/pytest tests/end_to_end/test_screenshots.py -m long -o faulthandler_timeout=2000 $(ARGS)

# Minutes, once. Without Go, or where it takes too long, the tests that need it are skipped.
.PHONY: collector
collector:
	@timeout 900 $(PYTHON) -m scripts.interop_tools collector || echo "There is no Collector here: its tests are skipped."

.PHONY: interop-tools
interop-tools: ## Build a Collector, a Jaeger and a Prometheus with Go, once, for `spanflow up --collector --jaeger` and the tests
	@$(PYTHON) -m scripts.interop_tools

.PHONY: check
check: env web lint types floors docs-check native-check web-check wheel-check ## Everything else that CI judges: style, types, docs, native core, dashboard, wheel

.PHONY: lint
lint: env
	@$(BIN)/ruff format --check --quiet . || (echo "make format would change these files:"; $(BIN)/ruff format --check .; exit 1)
	@$(BIN)/ruff check .

.PHONY: floors
floors: env
	@$(BIN)/python scripts/check_floors.py

.PHONY: types
types: env
	@$(BIN)/mypy $(wildcard $(CHECKED))

.PHONY: format
format: env ## Put Python and TypeScript sources into the project's style
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: docs
docs: env ## Write the generated pages (settings, commands) anew
	@$(BIN)/python -m scripts.generate_docs

.PHONY: docs-serve
docs-serve: env ## Serve the documentation as a site, on this machine
	@$(BIN)/zensical serve --config-file mkdocs.yml

.PHONY: docs-check
docs-check: env
	@$(BIN)/python -m scripts.generate_docs --check
	@$(BIN)/pytest -q tests/project -m "not long"

.PHONY: native-check
native-check: env
	@$(BIN)/python scripts/native_core.py check
	@$(MAKE) --no-print-directory test-native ARGS="-q $(NATIVE_TESTS)"

# With the native core required: a run that falls back to Python fails. All of it takes minutes; `make check` runs the
# files that see most of what the core does.
NATIVE_TESTS := $(addprefix tests/span_processors/test_,native.py native_encoder.py native_redaction.py redaction.py \
	text_budget.py encoder.py span_encoder.py vectors.py mirror.py resp.py)

.PHONY: test-native
test-native: env ## Run the gateway's suites once more with the native core required (ARGS instead: some tests)
	@if [ -e "$$(echo $(BIN)/../lib/python3*/site-packages/spanflow_core.abi3.so)" ]; then \
		$(BIN)/pytest --native=require -m "not long and not chaos and not browser" \
			$(or $(ARGS),tests/span_processors tests/instrumentation); \
	else \
		echo "There is no native core in .venv: its tests are left out."; \
	fi

.PHONY: web
web: env ## Build the dashboard, if its sources changed
	@$(BIN)/python hatch_build.py

.PHONY: web-check
web-check: env
	@$(BIN)/python hatch_build.py npm run --silent check

.PHONY: wheel
wheel: env ## Build sdist and wheel into dist/
	@$(BIN)/python -m build --outdir dist

.PHONY: wheel-check
wheel-check: env
	@$(BIN)/pytest -q tests/project/test_wheel.py -k "not oldest"

.PHONY: bench
bench: env ## Run the benchmarks
	@$(BIN)/python -m benchmarks

.PHONY: bench-million
bench-million: env ## Ask every question of the history among a million flows, and judge what is read for it (5 minutes)
	@$(BIN)/python -m benchmarks.million_flows

.PHONY: bench-analysis
bench-analysis: env ## Measure statistics, differences, comparison and export over a million flows, and judge them
	@$(BIN)/python -m benchmarks.analysis

.PHONY: bench-gateways
bench-gateways: env ## Measure what a request to a real LiteLLM costs with Spanflow and without (a quarter of an hour)
	@$(BIN)/python -m benchmarks.gateways $(ARGS)

.PHONY: gateway-pictures
gateway-pictures: env web chromium ## Follow the gateways' pages and take the pictures on them anew
	@$(BIN)/pytest -q -m long tests/gateways/test_pages.py
	@cp .cache/gateways/pictures/*.png docs/images/

.PHONY: bench-dashboard
bench-dashboard: env web chromium ## Measure the dashboard in a browser: frames, long tasks, memory (4 minutes)
	@$(BIN)/python -m benchmarks.dashboard

.PHONY: lock
lock: env ## Resolve the contributors' packages anew into requirements/dev.txt
	@$(BIN)/uv pip compile pyproject.toml --extra viewer --extra embedded --group test --group check --group docs --group build \
		--universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" \
		--quiet --output-file requirements/dev.txt $(ARGS)
	@$(BIN)/uv pip compile --group native-wheels --universal --generate-hashes --no-emit-index-url \
		--python-version 3.11 --custom-compile-command "make lock" --quiet --output-file requirements/native-wheels.txt $(ARGS)

.PHONY: lock-gateways
lock-gateways: env ## Resolve anew what tests of other people's gateways install beside Spanflow
	@for name in litellm litellm-1.102 contextforge fastmcp model_clients traceloop otlp_grpc; do \
		$(BIN)/uv pip compile "tests/gateways/requirements/$$name.in" pyproject.toml --python-version 3.12 --generate-hashes \
			--no-emit-index-url --custom-compile-command "make lock-gateways" --quiet --output-file "tests/gateways/requirements/$$name.txt" || exit 1; \
	done

.PHONY: lock-otel-versions
lock-otel-versions: env ## Resolve anew what the tests of other releases of OpenTelemetry install
	@for name in 1.28 1.35 1.44; do \
		file="tests/versions/requirements/opentelemetry-$$name"; \
		$(BIN)/uv pip compile "$$file.in" pyproject.toml --extra embedded --group suite --python-version 3.11 --universal \
			--generate-hashes --no-emit-index-url --custom-compile-command "make lock-otel-versions" --quiet \
			--output-file "$$file.txt" || exit 1; \
	done

.PHONY: env
env:
	@test -n '$(PYTHON)' || (echo "Spanflow needs Python 3.11 to 3.14 on PATH (Debian, Ubuntu: apt install python3)."; exit 1)
	@$(PYTHON) scripts/bootstrap.py
	@$(PYTHON) scripts/native_core.py

.PHONY: chromium
chromium: env
	@$(BIN)/python scripts/install_chromium.py

.PHONY: clean
clean: ## Remove the environment and everything that was built
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis viewer_api/web/node_modules \
		viewer_api/spanflow/viewer_api/dashboard
