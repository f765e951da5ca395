# `make` runs the study of params.yaml, `make test` the tests. Both create .venv from the lock first.
# make SCALE=smoke: another scale, rendered into results/<scale>/.  make ONLY=activation: one study alone, rendered into
# results/only/<study>/.  make PYTHON=python3.13: another Python.

PYTHON ?= python3
SCALE ?=
ONLY ?=
VENV := .venv
RUN := $(VENV)/bin
PIP := $(RUN)/pip install --quiet --disable-pip-version-check

.PHONY: all test test-all test-paper-scale lint bench lock clean-env

all: $(VENV)/.study
	@$(RUN)/nervelab build $(if $(SCALE),--scale $(SCALE)) $(if $(ONLY),--only $(ONLY))

test: $(VENV)/.dev
	@$(RUN)/python -m pytest -n 2 --dist loadgroup

# Also the tests marked slow: whole builds, kills, long sequences. Under an hour and a half on two cores.
test-all: $(VENV)/.dev
	@$(RUN)/python -m pytest -n 2 --dist loadgroup -m 'not paper_scale'

# Two steps and two measurements of every model of the paper up to 350M parameters, on the CPU: half an hour, 12 GB.
test-paper-scale: $(VENV)/.dev
	@$(RUN)/python -m pytest -m paper_scale tests/paper_scale

lint: $(VENV)/.dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/snakefmt --check Snakefile workflow/rules
	$(RUN)/python workflow/lint.py
	$(RUN)/python workflow/lint_text.py
	$(RUN)/python workflow/lint_collection.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("nervelab needs Python 3.11 or newer; name one: make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.study: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked dependencies (several GB, most of it torch)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.study
	@echo "installing what the tests need"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

bench: $(VENV)/.dev
	@$(RUN)/python -m benchmarks

# Resolve the locks again; needs uv. The study's lock is the part of the tests' lock that it needs.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml --extra dev -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml -c requirements-dev.lock -o requirements.lock

clean-env:
	rm -rf $(VENV)
