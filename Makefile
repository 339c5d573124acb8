# Needs python3 (3.11 or newer), make and git; everything else comes from the two requirements files.
# `make setup demo test test-faults test-peers bench lint format lock clean`
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
BIN := .venv/bin
STATE_DIR ?= .run
MANAGE := $(BIN)/python manage.py
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes

.PHONY: setup setup-tests demo test test-faults test-peers peers bench lint format lock clean

setup: .venv/.runtime

setup-tests: .venv/.tests

# Three ways to an environment with pip in it: python's own venv; a pip that stands outside and
# installs into it (Debian without python3-venv, where pip refuses the system); uv. As root on a
# Debian that has none of them, python3-venv is installed.
define MAKE_VENV
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Python 3.11 or newer is needed; name one with: make setup PYTHON=/path/to/python3' >&2; exit 1; }
rm -rf .venv
with_pip() { $(BIN)/python -m pip --version >/dev/null 2>&1; }
from_outside() { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; }
from_uv() { uv venv --quiet --seed --python "$$(command -v $(PYTHON))" .venv; }
from_debian() { [ "$$(id -u)" = 0 ] && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv && $(PYTHON) -m venv .venv; }
for way in "$(PYTHON) -m venv .venv" from_outside from_uv from_debian; do
	$$way >/dev/null 2>&1 && with_pip && exit 0
	rm -rf .venv
done
echo 'No way to make a virtual environment: install python3-venv (Debian: apt-get install python3-venv), pip or uv, then try again.' >&2
exit 1
endef
export MAKE_VENV

.venv/bin/python:
	@echo 'Making .venv' >&2
	@bash -euc "$$MAKE_VENV"

.venv/.runtime: requirements.txt | .venv/bin/python
	@echo 'Installing what the console needs' >&2
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

.venv/.tests: tests/requirements.txt requirements.txt | .venv/.runtime
	@echo 'Installing what the tests need' >&2
	@$(PIP_INSTALL) -r requirements.txt -r tests/requirements.txt
	@touch $@

demo: setup
	@$(MANAGE) demo $(ARGS)

test: setup-tests lint
	@$(BIN)/python -m pytest -q -n 2 -m "not peer and not full" $(ARGS)

# The faults at full size: contacts, mailboxes and workers of FAULT_*, and SEALED mailboxes whose keys change.
test-faults: setup-tests
	@OUTREACH_FAULT_CONTACTS=2000 OUTREACH_FAULT_MAILBOXES=40 OUTREACH_FAULT_WORKERS=4 \
		OUTREACH_FAULT_SEALED=1200 \
		$(BIN)/python -m pytest -q -m fault $(ARGS)

test-peers: setup-tests peers
	@$(BIN)/python -m pytest -q -m peer $(ARGS)

# Programs of other people that the tests speak to; only these come from apt.
peers:
	@if ! [ -x /usr/sbin/smtp-sink -a -x /usr/sbin/smtp-source ]; then \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postfix >/dev/null; \
	fi

bench: setup peers
	@$(BIN)/python -m tests.bench $(ARGS)

lint: setup-tests
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/mypy --no-error-summary
	@if [ -d templates ]; then $(BIN)/djlint --quiet --lint templates; fi

format: setup-tests
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@if [ -d templates ]; then $(BIN)/djlint --quiet --lint templates; fi

# Writes both requirements files anew from pyproject.toml; needs uv. No index address gets into them. Extras stay in
# the names: pip would else look for coverage[toml] beside the pinned coverage, and refuse a newer one without a hash.
LOCK := uv pip compile --quiet --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:
	@$(LOCK) pyproject.toml -o requirements.txt
	@$(LOCK) --group pyproject.toml:test -c requirements.txt -o tests/requirements.txt

# Keeps STATE_DIR: it holds keys and data.
clean:
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m outreach.embedded stop || true; fi
	@rm -rf .venv .run-test .pytest_cache .mypy_cache .ruff_cache .import_linter_cache staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
