# Two commands matter: `make demo` and `make test`. Each builds .venv itself.
#
#   make PYTHON=python3.12 demo     another interpreter (3.11 or newer)
#   make CONSTRAINTS= demo          without the tested torch pair of constraints.txt

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
RUN ?= runs/digits

BIN := $(VENV)/bin
LAUNCH := $(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no

.PHONY: demo test lint bench-quick clean

demo: $(VENV)/.installed
	$(LAUNCH) tools/search.py recipe=digits run=$(RUN)
	$(LAUNCH) tools/retrain.py run=$(RUN)
	$(BIN)/python tools/export.py run=$(RUN)
	$(BIN)/python tools/report.py run=$(RUN)

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-quick: $(VENV)/.installed
	$(BIN)/python benchmarks/speed.py --quick
	$(BIN)/python benchmarks/ranking.py --quick
	$(BIN)/python benchmarks/strategies.py --quick
	$(BIN)/python benchmarks/autogan.py --quick
	$(BIN)/python benchmarks/differentiable.py --quick
	$(BIN)/python benchmarks/mobile.py --quick
	$(BIN)/python benchmarks/scaling.py --quick

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than 3.11; use make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (torch is large: this takes a few minutes)"
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
