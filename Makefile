# `make` runs the study of params.yaml, `make test` the tests. Both create .venv from the lock first.
# make SCALE=smoke: another scale, rendered into results/<scale>/.  make ONLY=activation: one study alone, rendered into
# results/only/<study>/.  make PYTHON=python3.13: another Python.
# make PROFILE=slurm: by a profile of workflow/profiles, or by one of your own: make PROFILE=path/of/the/folder.

PYTHON ?= python3
# Not from the environment: a variable left in the shell makes nothing else.
SCALE :=
ONLY :=
PROFILE :=
# Programs are called as modules: scripts name the folder that they were installed in.
RUN := .venv/bin/python -P

.PHONY: all environment environment-dev test test-all test-slurm test-paper-scale lint bench lock clean-env

all: environment
	@$(RUN) -m nervelab.cli build$(if $(SCALE), --scale $(SCALE))$(if $(ONLY), --only $(ONLY))$(if $(PROFILE), --profile "$(PROFILE)")

test: environment-dev
	@$(RUN) -m pytest -n 2 --dist loadgroup

# Also the tests marked slow: whole builds, kills, long sequences. Under an hour and a half on two cores.
test-all: environment-dev
	@$(RUN) -m pytest -n 2 --dist loadgroup -m 'not paper_scale and not slurm'

# The study by a Slurm of one node, which the tests start, as root, one for each of two processes: most of it is waiting.
# At most a quarter of an hour on two cores.
test-slurm: environment-dev
	@$(RUN) -m pytest -n 2 --dist loadfile -m slurm tests/slurm

# Two steps and two measurements of every model of the paper up to 350M parameters, on the CPU: half an hour, 12 GB.
test-paper-scale: environment-dev
	@$(RUN) -m pytest -m paper_scale tests/paper_scale

lint: environment-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m snakefmt --check Snakefile workflow/rules
	$(RUN) workflow/lint.py
	$(RUN) workflow/lint_text.py
	$(RUN) workflow/lint_collection.py

# The environments of the study, of a profile and of the tests: the script says when they are made, and when again.
environment environment-dev:
	@"$(PYTHON)" workflow/environment.py $(if $(filter environment,$@),$(if $(filter-out default,$(PROFILE)),cluster,study),dev) "$(PYTHON)" "$(origin PYTHON)"

bench: environment-dev
	@.venv/bin/python -m benchmarks

# Resolve the locks again; needs uv. The study's lock is the part of the tests' lock that it needs, the cluster's what the
# plugins of its profiles need beside that.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml --extra dev -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml -c requirements-dev.lock -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml --extra slurm --extra cluster-generic -c requirements-dev.lock $$(sed -n 's/^\([^ =]*\)==.*/--no-emit-package \1/p' requirements.lock) -o requirements-cluster.lock

clean-env:
	rm -rf .venv
