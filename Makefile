# Two commands matter: `make demo` and `make test`. Each builds .venv itself.
#
#   make check                      lint, types and the tests that start no process and train nothing long
#   make docs                       the documentation site, in build/site
#   make PYTHON=python3.12 demo     another interpreter (3.11 or newer)
#   make PROCESSES=4 demo           more processes than two; the results are the same
#   make test-lowest                the tests of every dependency, each at its lower bound
#   make CONSTRAINTS= demo          without the tested torch pair of constraints.txt

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
RUN ?= runs/cluttered_digits
PROCESSES ?= 2
WORKERS ?= logical

BIN := $(VENV)/bin
# Idle processes take over tests of the others; what several need is made once (tests/shared.py).
PYTEST := -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo check test test-lowest lint docs bench-quick clean

# On CPUs alone: as many processes as one likes, and the figures of the documentation.
demo: export ACCELERATE_USE_CPU = true
demo: export OMP_NUM_THREADS = 1
demo: $(VENV)/.installed
	$(BIN)/fewshot search recipe=cluttered_digits run=$(RUN) processes=$(PROCESSES)
	$(BIN)/fewshot retrain run=$(RUN) processes=$(PROCESSES)
	$(BIN)/fewshot export run=$(RUN)
	$(BIN)/fewshot report run=$(RUN)

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m 'not process and not slow'

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

# What touches every dependency: recipes (omegaconf, pyyaml), images (pillow, scikit-learn, datasets),
# costs (fvcore), training, search and export of each task (torch, torchvision, accelerate,
# safetensors, timm, onnx, torch-fidelity), studies (optuna, smac), pictures (matplotlib), figures
# (scipy, numpy).
LOWEST_TESTS := tests/recipe/test_load.py tests/data/test_images.py tests/data/test_hf.py \
  tests/costs/test_table.py tests/runs/test_files.py tests/trust/test_verdict.py tests/search/test_study.py \
  tests/search/strategies/test_smac.py tests/search/strategies/test_samplers.py tests/report/test_plots.py \
  tests/tasks/autogan/test_metric.py tests/export \
  tests/tools/test_mobile.py::test_every_trial_respects_the_limit \
  tests/tools/test_mobile.py::test_timm_alone_loads_the_export \
  tests/tools/test_autogan.py::test_report \
  tests/tools/test_autogan.py::test_export_is_used_without_this_project

test-lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -c 'import datasets, psycopg, smac'  # their tests are skipped without
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python $(PYTEST) $(LOWEST_TESTS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html is the documentation; to search it: $(BIN)/python -m http.server -d build/site"

STUDIES := ranking strategies generators differentiable mobile deployed ensemble
BENCHMARKS := speed scaling $(STUDIES:%=studies.%)

bench-quick: $(BENCHMARKS:%=bench-%)  # with -j2 two at a time; gpu --toy is among the tests

bench-%: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$* --quick

define require_python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than 3.11; use make PYTHON=python3.11"; exit 2; }
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(require_python)
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (torch is large: this takes a few minutes)"
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

$(VENV)-lowest/.installed: pyproject.toml .ci/lowest.py
	$(require_python)
	$(PYTHON) -m venv $(VENV)-lowest
	$(PYTHON) .ci/lowest.py > $(VENV)-lowest/constraints.txt
	@echo "installing the oldest versions into $(VENV)-lowest (torch is large: some minutes)"
	$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check \
	  -c $(VENV)-lowest/constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest build *.egg-info
