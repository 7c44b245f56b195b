# Every target makes what it needs first. `make` alone lists them.

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo up check test faults fuzz bench pictures lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: $(INSTALLED) ## start everything, run real work through it, print the results, stop
	@$(VENV)/bin/taskyard up -- $(PY) examples/demo.py

up: $(INSTALLED) ## start everything and stay up; Ctrl-C stops it
	@exec $(VENV)/bin/taskyard up

check: $(INSTALLED) ## format, lint, types, layers, unit tests; under a minute
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest tests/unit -q -n 2

test: $(INSTALLED) ## every test, on private servers that the tests start
	$(PY) -m pytest -n 3

# The workers of this deployment write down what they do, so effects can be counted from outside.
faults: export TASKYARD_ROUTING = tests/faults/deployment/routing
faults: export TASKYARD_WORKERS = tests/faults/deployment/code
faults: $(INSTALLED) ## ten thousand tasks under more than fifty faults; writes docs/reliability.md
	$(VENV)/bin/taskyard drill --tasks 10000 --seeds 1,2,3,4,5 --faults 60 \
		--markdown docs/reliability.md
	$(PY) -m pytest -m faults
	$(PY) -m tests.faults.score --sound

fuzz: $(INSTALLED) ## ten minutes of what Schemathesis makes of the OpenAPI document (FUZZ_SECONDS)
	$(PY) -m pytest -m fuzz

bench: $(INSTALLED) ## measure us and our peers on the same work, print the ratios
	$(PY) -m benchmarks

pictures: $(INSTALLED) ## take the pictures of the dashboard in docs/pictures anew
	$(PY) -m pytest -m pictures tests/e2e/test_pictures.py

# The image installs what runs in production: the same versions, a part of the same lock.
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate

lock: $(INSTALLED) ## resolve the dependencies anew into the lock files
	$(COMPILE) --all-extras --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra workers --extra tracing --constraint requirements.lock pyproject.toml \
		--output-file compose/requirements.lock
	$(COMPILE) --upgrade benchmarks/requirements.in --output-file benchmarks/requirements.lock
	echo hatchling | $(COMPILE) --constraint requirements.lock - --output-file compose/build.lock

clean: ## remove the environment and the private servers' data
	rm -rf $(VENV) .taskyard

# The stamp is older than the lock or pyproject.toml only when something is to be installed.
$(INSTALLED): requirements.lock pyproject.toml
	@echo "taskyard: installing into $(VENV) (a minute the first time) …"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || .ci/install python3-venv
	@python3 -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
