# make test   everything that CI runs, in a virtual environment made from nothing
# make check  formatting, lint and types only
# make drill  damaged files, kills, full disks, lying engines: minutes
# make demo   the quickstart example
# make readme bring the configuration reference in README.md up to date
# make clean  remove what the others made

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
BUILD_INPUTS := pyproject.toml $(shell find mlff_dyn/kernels -name CMakeLists.txt -o -name '*.cpp' -o -name '*.hpp')

.PHONY: test check drill demo readme clean
.DELETE_ON_ERROR:

test: check
	$(BIN)/pytest

check: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

drill: $(VENV)/dev.installed
	$(BIN)/pytest -m drill

demo: $(VENV)/demo.installed
	PATH="$(BIN):$$PATH" $(MAKE) -C examples/bas-quickstart

readme: $(VENV)/dev.installed
	$(BIN)/python -m mlff_dyn.config.reference README.md

$(VENV)/%.installed: $(VENV)/bin/python $(BUILD_INPUTS)
	$(PIP) --editable '.[$(EXTRA)]'
	touch $@

$(VENV)/dev.installed: EXTRA := dev
$(VENV)/demo.installed: EXTRA := tblite,phono3py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
