# Two commands on a fresh machine: `make app` installs and serves, `make test` installs and runs every test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKED := core pages tests app.py data

.PHONY: app test unit lint bench pretrained faults gpu clean

app: $(VENV)/.app
	$(BIN)/python -m streamlit run app.py

test: lint unit
	$(BIN)/python -m pytest -m browser

unit: $(VENV)/.test
	$(BIN)/python -m pytest -m "not browser" -n logical --dist loadfile

lint: $(VENV)/.test
	$(BIN)/python -m ruff check $(CHECKED)
	$(BIN)/python -m ruff format --check $(CHECKED)
	$(BIN)/python -m mypy

bench: $(VENV)/.test
	$(BIN)/python -m core bench all --seeds 3 $(if $(NANOGPT),--beside $(NANOGPT))

pretrained: $(VENV)/.app
	$(BIN)/python -m core pretrain

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Bardlab needs Python 3.11 or newer; run: make PYTHON=python3.12 app")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

faults: $(VENV)/.test
	$(BIN)/python -m tests.faults

gpu: $(VENV)/.test
	$(BIN)/python -m tests.gpu --out gpu $(if $(NANOGPT),--beside $(NANOGPT))

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
