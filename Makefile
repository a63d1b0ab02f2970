# What a developer does here. "make" alone lists it.
PYTHON ?= python3
BIN := .venv/bin
IRISAB := $(BIN)/irisab --config .run/irisab.ini
PINS := -r requirements.txt -r requirements-ui.txt -r requirements-dev.txt

.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

venv: .venv/ready ## make .venv with irisab and all it needs

.venv/ready: requirements.txt requirements-ui.txt requirements-dev.txt setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "irisab needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.13" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes $(PINS)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

train: venv .run/irisab.ini ## train the versions of .run/irisab.ini that have no model yet
	$(IRISAB) train

run: venv .run/irisab.ini ## serve the API and the browser page until Ctrl-C
	@# Only where there is no model at all: one that is lost is not for Iris to replace. An INI file
	@# that is refused is for serve, which may know the last good one.
	@$(IRISAB) train --first || test -e .run/last-good.ini
	@echo "API: http://127.0.0.1:5000    browser page: http://127.0.0.1:8501    Ctrl-C stops both"
	@trap : INT; trap 'kill $$api' TERM; \
	$(IRISAB) serve & api=$$!; $(BIN)/streamlit run ui/app.py & page=$$!; \
	wait $$api; status=$$?; while kill -0 $$api 2>/dev/null; do wait $$api; status=$$?; done; \
	kill $$page 2>/dev/null; wait; exit $$status

# Everything make run needs lies in .run, so that nothing on the host is touched.
.run/irisab.ini:
	@mkdir -p .run
	printf '[data]\nmodels = models\nhistory = history.sqlite3\n\n[split]\nv1 = 50\nv2 = 50\n' >$@

test: venv ## unit and functional tests; no root, under five minutes
	$(BIN)/pytest $(ARGS)

simulate: venv ## the table of "Which version is better", through HTTP; most of an hour
	$(BIN)/python tests/simulate.py --output docs/simulation.json $(ARGS)

figures: venv ## the pictures of "Which version is better"; a minute or two
	$(BIN)/python docs/figures.py

growthbook: ## ask GrowthBook's gbstats again for the intervals that the tests compare with
	$(PYTHON) -m venv .venv-growthbook
	.venv-growthbook/bin/pip install --quiet numpy pydantic scipy
	.venv-growthbook/bin/pip install --quiet --no-deps gbstats==0.8.0
	.venv-growthbook/bin/python tests/growthbook.py

test-ui: venv ## the page in a real browser; needs Debian's chromium
	$(BIN)/pytest tests/browser $(ARGS)

test-host: venv ## the installation on real systemd hosts; root, Debian, about ten minutes
	$(BIN)/pytest -x tests/host $(ARGS)

smoke: ## ten checks of a host: make smoke HOST=name [PASSWORD=file] [INSECURE=1]
	$(PYTHON) smoke.py $(HOST) $(if $(PASSWORD),--password $(PASSWORD)) $(if $(INSECURE),--insecure)

lint: venv ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv-bench/ready ## measure speed and memory beside others, eight minutes; QUICK=1: one
	.venv-bench/bin/python -m bench $(if $(QUICK),--quick)

matrix: venv ## each estimator on each kind of data: form, difference, speed; a quarter of an hour
	$(BIN)/python -m bench.matrix $(if $(QUICK),--quick)

FUZZ ?= 2000
fuzz: venv ## random estimators against scikit-learn; FUZZ=2000 of them take an hour
	$(BIN)/python -m bench.fuzz $(FUZZ)

.venv-bench/ready: bench/requirements.txt setup.cfg
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --require-hashes -r bench/requirements.txt
	.venv-bench/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## remove what make made
	rm -rf .venv .venv-* .run .tox .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help venv train run test test-ui test-host smoke simulate figures growthbook lint format clean bench matrix fuzz
