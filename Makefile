# Poise. `make` alone explains itself. Needs Python >= 3.11 and GNU make >= 4.3, nothing else.

PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
BIN         := $(VENV)/bin
POISE       := $(BIN)/poise
PYTEST      := $(BIN)/python -m pytest
PIP         := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN         ?= runs/demo

# A stamp per set of extras, so that each is installed once per change of pyproject.toml. `dev` includes the demo's.
EXTRAS := local,report
DEV    := $(VENV)/.installed-dev
DEMO   := $(or $(wildcard $(DEV)),$(VENV)/.installed-$(EXTRAS))

# Data that some tests need; they skip, and say so, where it is missing.
ifeq ($(origin POISE_TEST_DATA),undefined)
POISE_TEST_DATA := $(if $(wildcard ../shared/data/.),$(shell cd ../shared/data && pwd))
endif
ifneq ($(POISE_TEST_DATA),)
export POISE_TEST_DATA
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install fetch demo unit test slow check bench clean

help: ## this text
	@echo 'Poise decides how much reasoning to buy, and proves it. Start with `make demo`, then `make test`.'
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-14s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'Another Python: make PYTHON=python3.13 demo. Newest dependencies, not the tested ones: make CONSTRAINTS= install'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed, but `$(PYTHON)` is '"$$($(PYTHON) --version 2>&1 || true)." \
		'Name another one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'No virtual environment could be made. On Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(PIP) install --upgrade pip

$(VENV)/.installed-%: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo 'Installing poise[$*] into $(VENV) (a few minutes the first time)'
	@$(PIP) install $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[$*]' || { \
		echo 'The installation failed. If pycosat could not be built (reasoning-gym needs it, and it has no wheel):' \
		'install a C compiler and the Python headers (Debian: apt install gcc python3-dev)' >&2; exit 1; }
	@touch '$@'

install: $(DEV) ## the virtual environment, with everything that developing needs

fetch: $(DEMO) ## the default model (SmolLM2-135M-Instruct, 93 MB, and our adapter merged), verified
	$(POISE) models fetch default

DEMO_TASKS := --task 'gsm_symbolic:label=word problems,templates=0-84' --task 'leg_counting:label=legs,min_animals=3,max_animals=6' --task products:label=products,min_digits=2,max_digits=2

demo: fetch ## measure what ways of spending compute buy on word problems (5 to 10 minutes; again: resumes)
	@echo 'One: four drafts each of 120 word problems and 60 products, by the embedded model, graded and kept.'
	$(POISE) lab rollouts $(DEMO_TASKS) --limit 60 --seed 13 --draws 4 --out $(RUN)-pool
	@echo; echo 'Two: what seven ways of choosing from these drafts buy, and the comparison named beforehand.'
	$(POISE) bench --config examples/demo.toml --engine $(RUN)-pool --run $(RUN)
	@$(POISE) report $(RUN) > /dev/null
	@echo
	@if $(BIN)/python -c 'import torch, transformers' 2> /dev/null; then \
		echo 'Three: the same drafts, chosen from by the verifier.'; \
		$(POISE) bench --config examples/demo_verifier.toml --engine $(RUN)-pool --run $(RUN)-verifier && \
		$(POISE) report $(RUN)-verifier > /dev/null; \
	else echo 'Left out: choosing by the verifier needs PyTorch. With it: $(BIN)/pip install -e ".[torch]" && make demo'; fi
	@echo; echo 'To open in a browser or an image viewer:'; ls $(RUN)*/*.html $(RUN)*/*.png | sed 's/^/  /'

unit: $(DEV) ## fast tests: no network, no real model (< 60 s)
	$(PYTEST) tests/unit -m 'not slow'

test: $(DEV) ## unit tests, then integration with the real engine (<= 12 minutes)
	$(POISE) models fetch default
	@echo 'Data of POISE_TEST_DATA: $(or $(POISE_TEST_DATA),none - tests that need it skip)'
	$(PYTEST) tests -m 'not slow'

slow: $(DEV) ## trainings and long studies, outside CI
	$(POISE) models fetch default
	$(PYTEST) tests -m slow

check: $(DEV) ## format, lint, types and import contracts (sizes and names are unit tests)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## speed and memory figures (bench/README.md; MOCK=script adds the mock upstream)
	$(POISE) models fetch default
	$(BIN)/python bench/import_time.py
	$(BIN)/python bench/harness_overhead.py
	$(BIN)/python bench/sequential_voting.py
	$(BIN)/python bench/embedded_throughput.py
	$(if $(MOCK),$(BIN)/python bench/mock_upstream.py --mock '$(MOCK)')

clean: ## remove the virtual environment, builds and caches; runs/ stays
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +
