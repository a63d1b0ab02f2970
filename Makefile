# What a developer does here. "make" alone lists it.
PYTHON ?= python3
BIN := .venv/bin
IRISAB := $(BIN)/irisab --config .run/irisab.ini
PINNED := requirements.txt requirements-ui.txt requirements-dev.txt

.DEFAULT_GOAL := help
# Read by delivery/host, whether they stand on make's command line or in the environment.
export SSH PASSWORD INSECURE PYTHON

help: ## list these targets
	@sed -n 's/^\([a-z0-9.-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

venv: .venv/ready ## make .venv with irisab and all it needs

install: venv ## the same, as Jenkins calls it

# pyenv must be told which version a name is to mean; elsewhere the word before it changes nothing.
.venv-3.13/ready: PYTHON := PYENV_VERSION=3.13 python3.13

.venv/ready .venv-3.13/ready: $(PINNED) setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "irisab needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.13" % sys.version_info[:2])'
	@echo "Installing the libraries, 1.1 GB, into $(@D): a minute, or several on a slow line"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --require-hashes $(PINNED:%=-r %)
	$(@D)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

train: venv .run/irisab.ini ## train what .run/irisab.ini has no model of; MIN_ACCURACY=0.9: or stop
	$(IRISAB) train
	$(if $(MIN_ACCURACY),@$(IRISAB) models --json | $(BIN)/python delivery/accuracy.py $(MIN_ACCURACY))

run: venv .run/irisab.ini ## serve the API and the browser page until Ctrl-C
	@# Only where there is no model at all: one that is lost is not for Iris to replace. An INI file
	@# that is refused is for serve, which may know the last good one.
	@$(IRISAB) train --first || test -e .run/last-good.ini
	@listen=$$(sed -n 's/^listen *= *\([^ #]*\).*/\1/p' .run/irisab.ini); \
	export IRISAB_API="http://$${listen:-127.0.0.1:5000}"; \
	export STREAMLIT_SERVER_PORT="$${STREAMLIT_SERVER_PORT:-8501}"; \
	$(BIN)/python -c "import socket; socket.create_server(('127.0.0.1', $$STREAMLIT_SERVER_PORT))" 2>/dev/null || { \
	  echo "Port $$STREAMLIT_SERVER_PORT, where the browser page would be, is taken. End what uses it, or choose another: make run STREAMLIT_SERVER_PORT=$$((STREAMLIT_SERVER_PORT + 1))" >&2; exit 1; }; \
	echo "API: $$IRISAB_API    browser page: http://127.0.0.1:$$STREAMLIT_SERVER_PORT    Ctrl-C stops both"; \
	trap : INT; trap 'kill $$api' TERM; \
	$(IRISAB) serve & api=$$!; $(BIN)/streamlit run ui/app.py & page=$$!; \
	wait $$api; status=$$?; while kill -0 $$api 2>/dev/null; do wait $$api; status=$$?; done; \
	kill $$page 2>/dev/null; wait; exit $$status

# Everything make run needs lies in .run, so that nothing on the host is touched.
.run/irisab.ini:
	@mkdir -p .run
	printf '[data]\nmodels = models\nhistory = history.sqlite3\n\n[split]\nv1 = 50\nv2 = 50\n' >$@

test: venv ## unit and functional tests; no root, under six minutes
	$(BIN)/pytest -m 'not slow' --junit-xml=build/reports/tests.xml $(ARGS)

test-slow: venv ## those left out above: pages that are followed, crashes, simulations; minutes
	$(BIN)/pytest -m slow $(ARGS)

# What is not counted again: how often chance alone gives a verdict or a drift, in thousands of runs.
# That is the formulas', which are tried again, whichever Python works them out.
COUNTED := --ignore tests/stats/test_chance.py --ignore tests/test_simulation.py \
	--deselect tests/stats/test_verdict.py::TestLookingAllDay

test-3.13: .venv-3.13/ready ## the same on the Python that Amazon Linux gets, but for what is arithmetic
	.venv-3.13/bin/pytest $(COUNTED) $(ARGS)

simulate: venv ## the table of "Which version is better", through HTTP; half an hour
	$(BIN)/python tests/simulate.py --output docs/simulation.json $(ARGS)

lives: venv ## a hundred simulated lives of a version in each of six worlds; two hours
	@$(BIN)/python tests/lives.py $(ARGS) | grep RESULT

simulate-rollouts: venv ## the table of "Rolling a version out", through the code that decides; minutes
	PYTHONPATH=tests $(BIN)/python tests/simulate_rollouts.py $(ARGS)

figures: venv ## the pictures of the course and of "Which version is better"; a minute or two
	$(BIN)/python docs/figures.py

pictures: venv ## the pictures of "The browser page", from the running system; needs Debian's chromium
	PYTHONPATH=tests $(BIN)/python tests/browser/pictures.py

growthbook: ## ask GrowthBook's gbstats again for the intervals that the tests compare with
	$(PYTHON) -m venv .venv-growthbook
	.venv-growthbook/bin/pip install --quiet --require-hashes -r bench/requirements.txt
	.venv-growthbook/bin/pip install --quiet --no-deps --require-hashes -r tests/growthbook.txt
	.venv-growthbook/bin/python tests/growthbook.py

test-ui: venv ## the page in a real browser; needs Debian's chromium
	$(BIN)/pytest tests/browser $(ARGS)

test-jenkins: venv ## what Jenkins would say to the Jenkinsfile; needs Debian's groovy
	$(BIN)/pytest tests/jenkins $(ARGS)

test-host: venv ## the installation on real systemd hosts; root, Debian, a quarter of an hour
	$(BIN)/pytest -x tests/host -k 'not power or $(POWER)' $(ARGS)

# Where test-host loses power, as a sample: while an upgrade puts its files in place.
POWER := 6-0.4

test-power: venv ## deploys that lose power at every step, not at one only; root, half an hour
	$(BIN)/pytest tests/host/test_deploy.py -k power $(ARGS)

all: lint test test-slow test-3.13 test-jenkins test-terraform test-ui test-host test-power ## all tests; for the night

test-terraform: .venv-terraform/ready ## the Terraform module, a minute; APPLY=1: made in a simulated AWS, ten
	.venv-terraform/bin/pytest --confcutdir tests/terraform tests/terraform $(if $(APPLY),--apply) $(ARGS)

.venv-terraform/ready: tests/terraform/requirements.txt
	$(PYTHON) -m venv .venv-terraform
	.venv-terraform/bin/pip install --quiet --no-compile --only-binary=:all: --require-hashes -r tests/terraform/requirements.txt
	@touch $@

release: venv ## pack the commit that is checked out into build/irisab-VERSION.tar.gz
	@$(BIN)/python delivery/release.py

# What these ask of ssh: docs/release.md.
deploy: ## install the release on a host: make deploy HOST=user@host [ARCHIVE=file]
	@delivery/host deploy '$(HOST)' $(ARCHIVE)

rollback: ## undo that: make rollback HOST=user@host
	@delivery/host rollback '$(HOST)'

smoke: ## ten checks of a host: make smoke HOST=[user@]name [PASSWORD=file] [INSECURE=1]
	@delivery/host smoke '$(HOST)'

pins: venv ## say which pins could move; how to move one: docs/release.md
	@$(BIN)/python delivery/pins.py $(ARGS)

wheels: venv ## find every pinned wheel for both architectures; downloads 3 GB
	@$(BIN)/python delivery/wheels.py

lint: venv ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv-bench/ready ## measure speed and memory beside others, ten minutes; QUICK=1: one
	.venv-bench/bin/python -m bench $(if $(QUICK),--quick)

matrix: venv ## each estimator on each kind of data: form, difference, speed; a quarter of an hour
	$(BIN)/python -m bench.matrix $(if $(QUICK),--quick)

FUZZ ?= 2000
fuzz: venv ## random estimators against scikit-learn; FUZZ=2000 of them take an hour
	$(BIN)/python -m bench.fuzz $(FUZZ)

FUZZ_HTTP ?= 1000000
fuzz-http: venv ## spoilt bodies and bytes against a running service; FUZZ_HTTP=1000000 take half an hour
	$(BIN)/python -m bench.fuzz_http $(FUZZ_HTTP)

.venv-bench/ready: bench/requirements.txt setup.cfg
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --require-hashes -r bench/requirements.txt
	.venv-bench/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## remove what make made
	rm -rf .venv .venv-* .run .tox .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help venv install train run test test-3.13 test-jenkins test-terraform test-ui test-host test-power all release deploy rollback smoke \
	pins wheels simulate simulate-rollouts lives figures pictures growthbook lint format clean bench matrix fuzz fuzz-http
