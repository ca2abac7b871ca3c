# Everything a newcomer needs is here: `make serve` and `make test` do all set-up by themselves.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
DATA ?= data

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install serve test test-milvus check format bench clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

install: $(INSTALLED) ## make the virtual environment (once)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Dragoman needs Python 3.11 or newer: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# It asks for typer<0.28 for its command, which is not used here; what else it needs is in dev.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps openapi-python-client==0.29.1
	touch $@

$(DATA)/.seeded: | $(INSTALLED)
	$(BIN)/dragoman add --data $(DATA) --source seeds seeds/*.txt
	touch $@

serve: install $(DATA)/.seeded ## index the seed articles and serve the API and page (PORT=, DATA=)
	$(BIN)/dragoman serve --data $(DATA) --host $(HOST) --port $(PORT)

test: install ## run all tests but those of test-milvus, the real model included
	$(BIN)/python -m pytest

test-milvus: install ## run the tests that start a real Milvus server
	$(BIN)/python -m pytest -m milvus

check: install ## lint, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## measure encoding and adding against plain sentence-transformers
	$(BIN)/python -m benchmarks.encoding
	$(BIN)/python -m benchmarks.adding

clean: ## remove the virtual environment and caches (never data)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
