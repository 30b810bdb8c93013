# Everything a developer or a user types. Each target prepares what it needs; `make help` lists them.

PYTHON ?= python3
VENV := .venv
DOCS_VENV := .venv-docs
PY := $(VENV)/bin/python
SHIPPED_CONFIG := config/app-config.yaml
export CONFIG_PATH ?= $(SHIPPED_CONFIG)
# The sample records belong to the shipped configuration only.
SEED := $(if $(filter $(SHIPPED_CONFIG),$(CONFIG_PATH)),--seed data/flights.ndjson.gz)
COMPILE = uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet

# Else each process that a test starts compiles all of ddpm again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run up down image test test-all test-unit test-go test-integration test-integration-plugin test-browser test-deploy test-faults test-tools fuzz lint vuln format generate docs licences wheel lock bench bench-quick profile-report reset clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## run the pipelines of CONFIG_PATH (default: the shipped one on embedded servers)
	@$(PY) cmd/pipeline-manager/main.py $(SEED)

COMPOSE = docker compose --file deployments/docker/docker-compose.yml
SECRETS := deployments/docker/.env

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/ddpm/__init__.py)

image: ## build the image of ddpm with its engine (needs Docker)
	@docker build --file deployments/docker/Dockerfile --build-arg VERSION=$(VERSION) --tag ddpm:local .

up: $(SECRETS) ## run ddpm with Redpanda, Postgres, Prometheus and Grafana in containers (needs Docker Compose)
	@docker compose version >/dev/null 2>&1 || { echo "docker compose is missing: install Docker with its Compose plugin" >&2; exit 3; }
	@$(COMPOSE) up --build --detach --wait
	@echo "ddpm       http://127.0.0.1:4195   its token is DDPM_TOKEN in $(SECRETS)"
	@echo "dashboard  http://127.0.0.1:3000"

down: ## stop what `make up` started; its data stay (docker compose down --volumes removes them)
	@$(COMPOSE) down

$(SECRETS):
	@umask 077 && for name in PGPASSWORD DDPM_TOKEN GRAFANA_PASSWORD; do \
		echo "$$name=$$($(PYTHON) -c 'import secrets; print(secrets.token_hex(16))')"; done > $@

# Tests wait for servers most of the time: on two cores three files at a time are quicker than two.
SIDE_BY_SIDE = --numprocesses 3 --dist loadfile --no-loadscope-reorder
QUICK = tests/unit tests/integration/test_engine_go.py tests/integration/test_main_path.py tests/integration/plugins/json \
	"tests/faults/test_guarantees.py::test_invariants_hold[engine killed-1]"

test: $(VENV)/.installed ## in a few minutes: unit, golden and Go tests, the main path on real servers, a fault under traffic
	@$(PY) -m pytest $(SIDE_BY_SIDE) --short $(QUICK)

test-all: test-tools ## every test there is, as CI runs them; shows which code the unit tests reach
	@$(PY) -m pytest $(SIDE_BY_SIDE) --cov=ddpm --cov-report=term:skip-covered

test-unit: $(VENV)/.installed ## in half a minute: the tests that need no services, without the slow ones
	@$(PY) -m pytest --numprocesses 4 --dist worksteal --short -m "not slow" tests/unit

test-go: $(VENV)/.installed ## the engine's Go tests on real servers: make test-go [pkg=./internal/sink/...] [run=TestName] [race=1]
	@$(PY) scripts/go_test.py $(if $(race),-race) $(if $(run),-run '$(run)') $(or $(pkg),./...)

test-integration: $(VENV)/.installed ## the tests of ddpm on a real Kafka, engine and Postgres
	@$(PY) -m pytest $(SIDE_BY_SIDE) tests/integration

test-browser: test-tools ## the console in a real browser
	@$(PY) -m pytest $(SIDE_BY_SIDE) tests/browser

test-deploy: test-tools ## Docker, Compose, systemd, Kubernetes, dashboards, the wheel
	@$(PY) -m pytest $(SIDE_BY_SIDE) tests/deploy

test-integration-plugin: $(VENV)/.installed ## the integration test of one parser: make test-integration-plugin format=json
	@test -n "$(format)" || { echo "which format? make test-integration-plugin format=json" >&2; exit 2; }
	@test -d "tests/integration/plugins/$(format)" || { \
		echo "there is no test for the format $(format); there are: $$(ls tests/integration/plugins | grep -v '\.py\|__' | xargs)" >&2; exit 2; }
	@$(PY) -m pytest "tests/integration/plugins/$(format)"

test-faults: $(VENV)/.installed ## every fault under traffic, three rounds each, then an audit; writes the table of docs/guarantees.md
	@$(PY) -m pytest --numprocesses 2 --dist load tests/faults --fault-rounds 3 --update-docs

test-tools: $(VENV)/.installed ## fetch what only the tests need: a browser, Prometheus, Graphviz, Docker, systemd's tools
	@$(PY) scripts/test_tools.py

fuzz: $(VENV)/.installed ## fuzz the engine's packages: make fuzz [seconds=10] [target=FuzzRead]
	@$(PY) scripts/fuzz.py $(or $(seconds),10) $(target)

lint: $(VENV)/.installed ## ruff, mypy, import contracts, gofmt, go vet, staticcheck, the hosted workflow, links in documents
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PY) scripts/go.py fmt-check
	@$(PY) scripts/go.py vet ./...
	@$(PY) scripts/go.py tool staticcheck ./...
	@$(PY) scripts/go.py actionlint
	@$(PY) -m pytest --quiet tests/unit/test_docs.py

vuln: $(VENV)/.installed ## look the engine's modules up among the known vulnerabilities (asks vuln.go.dev, or GOVULNDB)
	@$(PY) scripts/go.py vuln

format: $(VENV)/.installed ## format Python and Go
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .
	@$(PY) scripts/go.py fmt ./...

generate: $(VENV)/.installed ## write what is derived: the names that Python and the engine have in common, the tables of keys
	@$(PY) scripts/contract.py
	@$(PY) scripts/references.py

docs: $(VENV)/.installed $(DOCS_VENV)/.installed ## rewrite docs/metrics.md and build all documents as a site, into .site/html
	@$(PY) scripts/metrics_doc.py > docs/metrics.md
	@$(PY) scripts/references.py .site/references
	@NO_MKDOCS_2_WARNING=true $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "open .site/html/index.html, or serve it: $(PYTHON) -m http.server --directory .site/html --bind 127.0.0.1"

licences: $(VENV)/.installed ## rewrite the licences of everything that is used at run time in docs
	@$(PY) scripts/licences.py

wheel: $(VENV)/.installed ## build wheel and source distribution into dist, the same bytes each time
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(PY) -m hatchling build -t sdist -t wheel

lock: $(VENV)/.installed ## pin the dependencies of pyproject.toml again, with hashes (needs uv)
	@$(COMPILE) --extra embedded --extra profiling --extra dev --output-file requirements/dev.lock
	@$(COMPILE) --constraint requirements/dev.lock --output-file requirements/runtime.lock
	@$(COMPILE) --constraint requirements/dev.lock --extra embedded --output-file requirements/embedded.lock
	@echo "hatchling==1.29.0" | $(COMPILE:pyproject.toml=-) --output-file requirements/build.lock
	@echo "mkdocs-material==9.8.1 mkdocs-swagger-ui-tag==0.8.1" | xargs -n 1 | $(COMPILE:pyproject.toml=-) --output-file requirements/docs.lock

bench: $(VENV)/.installed ## measure ddpm and its peers in interleaved rounds into docs/benchmarks.md (about an hour): make bench [parts="throughput recovery"]
	@PYTHONPATH=tests $(PY) -m benchmarks $(parts)

bench-quick: $(VENV)/.installed ## the main figures, roughly, in under four minutes; docs stay as they are
	@PYTHONPATH=tests $(PY) -m benchmarks --quick $(parts)

profile-report: $(VENV)/.installed ## record profiles of engine and orchestrator under load and draw them into docs/images
	@PYTHONPATH=.:tests $(PY) scripts/profile_report.py

reset: $(VENV)/.installed ## stop what is left of the embedded servers and remove their data, after asking
	@$(VENV)/bin/ddpm reset

clean: ## remove the virtual environment and tool caches (not the embedded data)
	rm -rf $(VENV) $(DOCS_VENV) .site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ddpm needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=...")'
	@echo "preparing $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements/dev.lock
	@$(VENV)/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DOCS_VENV)/.installed: requirements/docs.lock
	@echo "preparing $(DOCS_VENV) (once)"
	@$(PYTHON) -m venv $(DOCS_VENV)
	@$(DOCS_VENV)/bin/pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements/docs.lock
	@touch $@
